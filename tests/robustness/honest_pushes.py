"""Workers that do nothing wrong, and together want more memory than there is."""
import struct
import threading

from gradd.v1 import training_service_pb2 as api
from gradd_process import TIMEOUT_SECONDS
from train_stream import header, join, push

CHUNK_ELEMENTS = 1 << 18


def whole_push(elements, sequence=1, want_parameters=False):
    """A gradient, chunk by chunk."""
    data = struct.pack(f"<{CHUNK_ELEMENTS}f", *([0.5] * CHUNK_ELEMENTS))
    for begin in range(0, elements, CHUNK_ELEMENTS):
        size = min(CHUNK_ELEMENTS, elements - begin)
        chunk = api.ParameterChunk(offset=begin, data=data[:4 * size])
        yield push(header(sequence) if begin == 0 else None, chunk,
                   commit=begin + size == elements, want_parameters=want_parameters)


def push_at_once(training, run, elements, workers):
    """One push of each worker to an asynchronous run. Returns what became of them."""
    # Nobody's push is complete before all have begun.
    begun = threading.Barrier(workers)
    outcomes = []

    def train(worker):
        def requests():
            yield join(worker, run=run)
            for number, request in enumerate(whole_push(elements)):
                if number == 1:
                    begun.wait(TIMEOUT_SECONDS)
                yield request
        for response in training.Train(requests()):
            if response.HasField("push_result"):
                outcomes.append(response.push_result.outcome)
                return
    threads = [threading.Thread(target=train, args=(f"w{i}",)) for i in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_SECONDS)
    return outcomes

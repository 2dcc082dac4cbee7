"""A worker of a run with a data set, of nothing but the generated stubs: no rank, no share.

elastic_worker.py SERVER RUN WORKER SEED. Its gradient is -1 for each example that its batches have,
so that with a learning rate of 1 the parameters count how often each example was used. SIGTERM: it
leaves. It ends when there are no more batches.
"""
import os
import queue
import random
import signal
import struct
import sys
import time

import grpc
from gradd.v1 import data_pb2
from gradd.v1 import training_service_pb2 as api
from gradd.v1 import training_service_pb2_grpc as services

from example_permutation import examples_of


class Worker:
    def __init__(self, server, run, worker, seed):
        self.random = random.Random(int(seed))
        self.stops = False
        self.requests = queue.Queue()
        self.requests.put(api.TrainRequest(join=api.Join(
            run=run, worker=worker, instance=self.random.getrandbits(63) + 1,
            sends_timelines=True)))
        stub = services.TrainingServiceStub(grpc.insecure_channel(server))
        self.responses = stub.Train(iter(self.requests.get, None))
        self.batches = []
        self.result = None
        self.ended = False
        self.asked = False
        self.welcome = next(self.responses).welcome
        self.sequence = self.welcome.last_sequence
        self.step = self.welcome.step
        self.take(self.welcome.data.leased)

    def take(self, ranges):
        for span in ranges:
            self.batches.extend(range(span.first, span.first + span.count))

    def ask(self):
        self.requests.put(api.TrainRequest(
            lease_batches=data_pb2.LeaseBatches(count=self.random.randint(1, 4))))
        self.asked = True

    def read_until(self, condition):
        while not condition():
            response = next(self.responses)
            if response.HasField("batch_lease"):
                self.asked = False
                self.ended = response.batch_lease.ended
                self.take(response.batch_lease.ranges)
            elif response.HasField("push_result"):
                self.result = response.push_result

    def push(self, batches):
        data = self.welcome.data.data_set
        gradient = [0.0] * data.examples
        count = 0
        for batch in batches:
            for example in examples_of(batch, data.examples, data.batch_size, data.seed):
                gradient[example] -= 1
                count += 1
        push = api.Push(chunk=api.ParameterChunk(data=struct.pack(f"<{len(gradient)}f", *gradient)))
        push.header.sequence = self.sequence + 1
        push.header.base_step = self.step
        push.header.examples = count
        push.header.timeline = self.welcome.timeline
        for batch in batches:
            push.header.batches.add(first=batch, count=1)
        push.commit.SetInParent()
        self.result = None
        self.requests.put(api.TrainRequest(push=push))
        if not self.asked and len(self.batches) < 3:
            self.ask()  # Ahead: the answer comes while the push is on its way.
        self.read_until(lambda: self.result is not None)
        self.step = self.result.step
        if self.result.outcome == api.PUSH_OUTCOME_REJECTED:
            if self.result.reason == "RUN_FINISHED":
                self.ended = True
                return
            # Its lease ended while it was slow, or frozen: others have its batches.
            assert self.result.reason in ("BATCH_LEASE_ENDED", "BATCH_NOT_LEASED"), self.result
            return
        assert self.result.outcome in (api.PUSH_OUTCOME_APPLIED,
                                       api.PUSH_OUTCOME_BATCH_USED), self.result
        self.sequence += 1

    def train(self):
        while not self.stops:
            if not self.batches:
                if self.ended:
                    break
                if not self.asked:
                    self.ask()
                self.read_until(lambda: self.batches or self.ended)
                continue
            take = self.random.randint(1, 2)
            batches, self.batches = self.batches[:take], self.batches[take:]
            time.sleep(0.01 * self.random.random())  # Computing takes time.
            self.push(batches)
        self.requests.put(api.TrainRequest(leave=api.Leave()))
        for _ in self.responses:
            pass


def main():
    worker = Worker(*sys.argv[1:])

    def stop(*_):
        worker.stops = True
    signal.signal(signal.SIGTERM, stop)
    try:
        worker.train()
    except grpc.RpcError as error:
        # It was frozen for longer than its lease, and may join again; this one does not.
        if error.code() != grpc.StatusCode.DEADLINE_EXCEEDED:
            raise
    sys.stdout.flush()
    os._exit(0)  # The requests' thread waits for more.


main()

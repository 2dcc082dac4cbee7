"""A week-long run must not grow the server."""
import struct
import threading

from gradd.v1 import training_service_pb2 as training
from gradd_process import ServerTest, spec


class MemoryTest(ServerTest):
    def test_pushes_do_not_grow_the_server(self):
        elements = 50_000
        run = spec(elements)
        run.optimizer.adam.SetInParent()
        self.create("r", run)
        gradient = struct.pack(f"<{elements}f", *([0.5] * elements))
        may_push = threading.Semaphore(0)

        def requests():
            yield training.TrainRequest(join=training.Join(run="runs/r", worker="w"))
            sequence = 0
            while may_push.acquire():
                yield training.TrainRequest(push=training.Push(
                    header=training.PushHeader(sequence=sequence + 1, base_step=sequence, examples=1),
                    chunk=training.ParameterChunk(data=gradient),
                    commit=training.PushCommit(want_parameters=True)))
                sequence += 1

        responses = self.training.Train(requests())
        self.assertTrue(next(responses).HasField("welcome"))
        resident = {}
        for step in range(1, 10_001):
            may_push.release()
            self.assertEqual(next(responses).push_result.step, step)
            self.assertEqual(next(responses).parameters.step, step)
            if step in (1_000, 10_000):
                resident[step] = self.resident_bytes()
        responses.cancel()
        self.assertLess(abs(resident[10_000] / resident[1_000] - 1), 0.05, resident)

    def test_a_large_run_takes_its_state_and_one_push(self):
        elements = 100_000_000
        run = spec(elements)
        run.optimizer.adam.SetInParent()
        self.create("r", run)
        may_push = threading.Semaphore(0)
        chunk_elements = 256 * 1024
        chunk = bytes(4 * chunk_elements)

        def requests():
            yield training.TrainRequest(join=training.Join(run="runs/r", worker="w"))
            for sequence in (1, 2, 3):
                may_push.acquire()
                header = training.PushHeader(sequence=sequence, base_step=sequence - 1, examples=1)
                yield training.TrainRequest(push=training.Push(header=header))
                for offset in range(0, elements, chunk_elements):
                    data = chunk[:4 * (elements - offset)]
                    yield training.TrainRequest(push=training.Push(
                        chunk=training.ParameterChunk(offset=offset, data=data)))
                yield training.TrainRequest(push=training.Push(commit=training.PushCommit(want_parameters=True)))

        responses = self.training.Train(requests())
        self.assertTrue(next(responses).HasField("welcome"))
        for step in (1, 2, 3):
            may_push.release()
            self.assertEqual(next(responses).push_result.step, step)
            received = 0
            while received < 4 * elements:
                received += len(next(responses).parameters.data)
        responses.cancel()
        # Parameters and two slots, and the gradient.
        self.assertLess(self.resident_bytes() / (4 * 4 * elements), 1.05)

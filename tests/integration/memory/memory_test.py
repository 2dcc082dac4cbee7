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

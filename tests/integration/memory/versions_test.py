"""Readers cost no more than the budget has, and no step waits for them."""
import re

import grpc
from gradd.v1 import run_service_pb2 as run_api
from gradd.v1 import training_service_pb2 as api
from gradd_process import ServerTest, TIMEOUT_SECONDS, spec, until
from train_stream import Stream, header, join, push

ELEMENTS = 5_000_000
VECTOR_BYTES = 4 * ELEMENTS


def zeros(sequence, **fields):
    """A push without a single element that is not 0."""
    chunk = api.ParameterChunk(encoding=api.ENCODING_SPARSE, element_count=ELEMENTS)
    return push(header(sequence, base_step=sequence - 1), chunk, **fields)


def reason(error):
    return dict(error.trailing_metadata() or ()).get("gradd-reason")


def room_for(vectors):
    return ("--max-memory-bytes", str(vectors * VECTOR_BYTES), "--max-staged-bytes",
            str(VECTOR_BYTES), "--log-level", "warn")


class TrainedTest(ServerTest):
    def train(self, worker, steps):
        for step in steps:
            worker.send(zeros(step))
            self.assertEqual(worker.next().push_result.step, step)

    @staticmethod
    def read(pull):
        """All that is left of a pull: how many bytes, or the error that ended it."""
        try:
            return sum(len(chunk.data) for chunk in pull), None
        except grpc.RpcError as error:
            return 0, error


class VersionsTest(TrainedTest):
    OPTIONS = room_for(5)  # Parameters, a push, two versions, and a block on its way to each reader.

    def test_slow_pulls_lose_their_versions_to_steps(self):
        self.create("r", spec(ELEMENTS))
        worker = Stream(self.training, join())
        self.addCleanup(worker.cancel)
        worker.next()
        self.train(worker, [1])
        before = self.resident_bytes()
        pulls = []
        for step in range(2, 22):
            pulls.append(self.training.Pull(api.PullRequest(run="runs/r")))
            self.assertEqual(next(pulls[-1]).step, step - 1)
            self.train(worker, [step])
        # Two versions, and what is on its way of each pull; without a limit, they were 20.
        self.assertLess(self.resident_bytes() - before, 4 * VECTOR_BYTES)
        _, error = self.read(pulls[0])
        self.assertEqual((error.code(), reason(error)), (grpc.StatusCode.ABORTED, "VERSION_LOST"))
        self.assertIn("step 1", error.details())
        received, error = self.read(pulls[-1])
        self.assertIsNone(error)
        self.assertGreater(received, VECTOR_BYTES // 2)
        for pull in pulls:
            pull.cancel()

        def versions():
            taken = re.search(r'gradd_memory_taken_bytes{use="versions"} (\d+)', self.get("/metrics"))
            return int(taken.group(1))
        until("the end of all versions", lambda: versions() == 0)


class SlowWorkerTest(TrainedTest):
    OPTIONS = room_for(3)  # Parameters, a push and one version.

    def test_a_worker_that_does_not_read_does_not_stop_the_others(self):
        run = spec(ELEMENTS)
        run.policy.asynchronous.SetInParent()
        self.create("r", run)
        slow = Stream(self.training, join("slow", want_parameters=True))
        self.addCleanup(slow.cancel)
        self.assertTrue(slow.next().HasField("welcome"))
        self.assertTrue(slow.next().HasField("parameters"))
        worker = Stream(self.training, join())
        self.addCleanup(worker.cancel)
        worker.next()
        pulls = []
        for step in range(1, 8):
            self.train(worker, [step])
            pulls.append(self.training.Pull(api.PullRequest(run="runs/r")))
            next(pulls[-1])
        code, lost, _ = slow.error()
        self.assertEqual((code, lost), (grpc.StatusCode.ABORTED, "VERSION_LOST"))
        again = Stream(self.training, join("slow", want_parameters=True))
        self.addCleanup(again.cancel)
        self.assertEqual(again.next().welcome.step, 7)
        for pull in pulls:
            pull.cancel()


class GivenBackTest(ServerTest):
    OPTIONS = ("--log-level", "warn")

    def test_what_a_deleted_run_took_goes_back_to_the_system(self):
        elements = 25_000_000
        before = self.resident_bytes()
        run = spec(elements, workers=2)
        run.optimizer.adam.SetInParent()
        self.create("r", run)
        worker = Stream(self.training, join())
        self.addCleanup(worker.cancel)
        worker.next()
        data = bytes(1 << 20)
        for begin in range(0, 4 * elements, 1 << 20):
            piece = data[:4 * elements - begin]
            worker.send(push(header() if begin == 0 else None,
                             api.ParameterChunk(offset=begin // 4, data=piece),
                             commit=begin + len(piece) == 4 * elements))
        until("the push's arrival", lambda: self.resident_bytes() - before > 3.9 * 4 * elements)
        self.runs.DeleteRun(run_api.DeleteRunRequest(name="runs/r"), timeout=TIMEOUT_SECONDS)
        until("the memory's return", lambda: self.resident_bytes() - before < 30 << 20)

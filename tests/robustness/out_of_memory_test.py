"""What does not fit into the memory is refused; the server and its runs stay."""
import re
import resource
import unittest

import grpc
from gradd.v1 import training_service_pb2 as api
from gradd_process import SANITIZED, ServerTest, spec
from honest_pushes import push_at_once
from train_stream import Stream, header, join, push

ADDRESS_SPACE_BYTES = 4 << 30


class LimitedServerTest(ServerTest):
    """gradd in an address space of a few gigabytes."""

    SPACE = ADDRESS_SPACE_BYTES

    def start(self, name, *arguments, **options):
        return super().start(name, *arguments, **options, preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_AS, (self.SPACE, self.SPACE)))

    def refused_run(self, elements):
        """What the server says to a run of 12 bytes an element."""
        large = spec(elements)
        large.optimizer.adam.SetInParent()
        with self.assertRaises(grpc.RpcError) as raised:
            self.create("large", large)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        return raised.exception.details()


@unittest.skipIf(SANITIZED, "sanitizers need the address space for themselves")
class OutOfMemoryTest(LimitedServerTest):
    # Room for one run by the rules, but not in the address space.
    OPTIONS = ("--max-memory-bytes", str(20 << 30), "--max-parameters-per-run", str(1 << 31),
               "--threads", "2", "--log-level", "warn")

    def test_a_run_that_does_not_fit_is_refused_and_leaves_no_trace(self):
        self.create("small", spec(1000))
        for _ in range(2):
            self.assertIn('run "large": the server\'s machine does not have the memory',
                          self.refused_run(700_000_000))
        self.create("large", spec(100_000_000))
        self.assertEqual(self.describe("small").parameter_count, 1000)


@unittest.skipIf(SANITIZED, "sanitizers need the address space for themselves")
class DefaultLimitTest(LimitedServerTest):
    def test_a_run_that_cannot_fit_is_refused_before_it_takes_any_memory(self):
        message = self.refused_run(320_000_000)
        limit = int(re.search(r"the server's limit of (\d+)", message).group(1))
        self.assertLess(limit, ADDRESS_SPACE_BYTES * 9 // 10)
        self.assertGreater(limit, ADDRESS_SPACE_BYTES * 8 // 10)
        self.assertLess(self.resident_bytes(), 100 << 20)


@unittest.skipIf(SANITIZED, "sanitizers need the address space for themselves")
class HonestPushesTest(LimitedServerTest):
    SPACE = 1_200_000_000
    ELEMENTS = 40_000_000
    WORKERS = 6
    OPTIONS = ("--log-level", "warn")

    def test_pushes_that_do_not_fit_at_once_wait_for_each_other(self):
        run = spec(self.ELEMENTS)
        run.policy.asynchronous.SetInParent()
        self.create("run", run)
        # Together they are 960 MB.
        outcomes = push_at_once(self.training, "runs/run", self.ELEMENTS, self.WORKERS)
        self.assertEqual(outcomes, [api.PUSH_OUTCOME_APPLIED] * self.WORKERS)
        self.assertEqual(self.describe("run").progress.step, self.WORKERS)


@unittest.skipIf(SANITIZED, "sanitizers need the address space for themselves")
class StepWithoutMemoryTest(LimitedServerTest):
    SPACE = 1_200_000_000
    ELEMENTS = 25_000_000
    OPTIONS = ("--log-level", "warn")

    def zeros(self, sequence):
        """A push without a single element that is not 0."""
        chunk = api.ParameterChunk(encoding=api.ENCODING_SPARSE, element_count=self.ELEMENTS)
        return push(header(sequence, base_step=sequence - 1), chunk)

    def test_no_step_waits_for_memory_that_readers_hold(self):
        self.create("run", spec(self.ELEMENTS))
        worker = Stream(self.training, join(run="runs/run"))
        self.addCleanup(worker.cancel)
        worker.next()
        pulls = []
        for sequence in range(1, 16):
            # Each reader that stands still would keep 100 MB of its own.
            pulls.append(self.training.Pull(api.PullRequest(run="runs/run")))
            next(pulls[-1])
            worker.send(self.zeros(sequence))
            self.assertEqual(worker.next().push_result.step, sequence)
        with self.assertRaises(grpc.RpcError) as raised:
            for _ in pulls[0]:
                pass
        self.assertEqual(raised.exception.code(), grpc.StatusCode.ABORTED)
        for pull in pulls:
            pull.cancel()

"""What does not fit into the memory is refused; the server and its runs stay."""
import queue
import re
import resource
import struct
import threading
import unittest

import grpc
from gradd.v1 import training_service_pb2 as api
from gradd_process import SANITIZED, ServerTest, TIMEOUT_SECONDS, spec
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
    CHUNK = 1 << 18
    WORKERS = 6
    OPTIONS = ("--log-level", "warn")

    def pushes(self):
        """A whole gradient, chunk by chunk."""
        data = struct.pack(f"<{self.CHUNK}f", *([0.5] * self.CHUNK))
        for begin in range(0, self.ELEMENTS, self.CHUNK):
            size = min(self.CHUNK, self.ELEMENTS - begin)
            chunk = api.ParameterChunk(offset=begin, data=data[:4 * size])
            yield push(header() if begin == 0 else None, chunk,
                       commit=begin + size == self.ELEMENTS)

    def test_pushes_that_do_not_fit_at_once_wait_for_each_other(self):
        run = spec(self.ELEMENTS)
        run.policy.asynchronous.SetInParent()
        self.create("run", run)
        # Nobody's push is complete before all have begun: together they are 960 MB.
        begun = threading.Barrier(self.WORKERS)
        outcomes = []

        def train(worker):
            def requests():
                yield join(worker, run="runs/run")
                for number, request in enumerate(self.pushes()):
                    if number == 1:
                        begun.wait(TIMEOUT_SECONDS)
                    yield request
            for response in self.training.Train(requests()):
                if response.HasField("push_result"):
                    outcomes.append(response.push_result.outcome)
                    return
        threads = [threading.Thread(target=train, args=(f"w{i}",)) for i in range(self.WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT_SECONDS)
        self.assertEqual(outcomes, [api.PUSH_OUTCOME_APPLIED] * self.WORKERS)
        self.assertEqual(self.describe("run").progress.step, self.WORKERS)


@unittest.skipIf(SANITIZED, "sanitizers need the address space for themselves")
class StepWithoutMemoryTest(LimitedServerTest):
    ELEMENTS = 100_000_000

    def zeros(self, sequence):
        """A push without a single element that is not 0."""
        chunk = api.ParameterChunk(encoding=api.ENCODING_SPARSE, element_count=self.ELEMENTS)
        return push(header(sequence, base_step=sequence - 1), chunk)

    def test_a_step_waits_for_memory_that_readers_hold(self):
        self.create("run", spec(self.ELEMENTS))
        worker = Stream(self.training, join(run="runs/run"))
        worker.next()
        applied = queue.Queue()
        threading.Thread(target=lambda: [applied.put(answer.push_result.step)
                                         for answer in worker.responses], daemon=True).start()
        self.addCleanup(worker.cancel)
        pulls = []
        for sequence in range(1, 30):
            # Each reader that stands still keeps 400 MB of its own.
            pulls.append(self.training.Pull(api.PullRequest(run="runs/run")))
            next(pulls[-1])
            worker.send(self.zeros(sequence))
            try:
                self.assertEqual(applied.get(timeout=15), sequence)
            except queue.Empty:
                break
        else:
            self.fail("the memory has not run out")
        self.assertGreater(sequence, 2)
        self.assertEqual(self.describe("run").progress.step, sequence - 1)
        for pull in pulls:
            pull.cancel()
        self.assertEqual(applied.get(timeout=TIMEOUT_SECONDS), sequence)

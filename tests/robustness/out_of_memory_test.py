"""What does not fit into the memory is refused; the server and its runs stay."""
import resource
import unittest

import grpc
from gradd_process import SANITIZED, ServerTest, spec

ADDRESS_SPACE_BYTES = 4 << 30


class LimitedServerTest(ServerTest):
    """gradd in an address space of a few gigabytes."""

    def start(self, name, *arguments, **options):
        return super().start(name, *arguments, **options, preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES)))

    def refused_run(self):
        """What the server says to a run of 8.4 GB."""
        large = spec(700_000_000)
        large.optimizer.adam.SetInParent()
        with self.assertRaises(grpc.RpcError) as raised:
            self.create("large", large)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        return raised.exception.details()


@unittest.skipIf(SANITIZED, "sanitizers need the address space for themselves")
class OutOfMemoryTest(LimitedServerTest):
    # Room for one run by the rules, but not in the address space.
    OPTIONS = ("--max-state-bytes", str(9 << 30), "--max-parameters-per-run", str(1 << 31),
               "--threads", "2", "--log-level", "warn")

    def test_a_run_that_does_not_fit_is_refused_and_leaves_no_trace(self):
        self.create("small", spec(1000))
        for _ in range(2):
            self.assertIn('run "large": the server\'s machine does not have the memory',
                          self.refused_run())
        self.create("large", spec(100_000_000))
        self.assertEqual(self.describe("small").parameter_count, 1000)


@unittest.skipIf(SANITIZED, "sanitizers need the address space for themselves")
class DefaultLimitTest(LimitedServerTest):
    def test_a_run_that_cannot_fit_is_refused_before_it_takes_any_memory(self):
        self.assertIn(f"the server's limit of {ADDRESS_SPACE_BYTES * 9 // 10}", self.refused_run())
        self.assertLess(self.resident_bytes(), 100 << 20)

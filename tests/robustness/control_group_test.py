"""A server in a small control group stays within it."""
import os
import unittest

from gradd.v1 import training_service_pb2 as api
from gradd_process import SANITIZED, ServerTest, spec
from honest_pushes import push_at_once
from train_stream import Stream, header, join, push

LIMIT_BYTES = 256 << 20
# Where control groups of version 1 and 2 are, and what their limit is called.
HIERARCHIES = (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max"))


def make_group():
    """A group with the limit, or None where this process may not make one."""
    for root, limit in HIERARCHIES:
        group = os.path.join(root, f"gradd-test-{os.getpid()}")
        try:
            os.mkdir(group)
        except OSError:
            continue
        try:
            with open(os.path.join(group, limit), "w", encoding="ascii") as file:
                file.write(str(LIMIT_BYTES))
            return group
        except OSError:
            os.rmdir(group)
    return None


@unittest.skipIf(SANITIZED, "sanitizers need the memory for themselves")
class ControlGroupTest(ServerTest):
    ELEMENTS = 10_000_000
    OPTIONS = ("--log-level", "warn")

    def setUp(self):
        self.group = make_group()
        if self.group is None:
            self.skipTest("control groups cannot be made here")
        self.addCleanup(os.rmdir, self.group)
        super().setUp()

    def start(self, name, *arguments, **options):
        def enter():
            with open(os.path.join(self.group, "cgroup.procs"), "w", encoding="ascii") as file:
                file.write(str(os.getpid()))
        return super().start(name, *arguments, **options, preexec_fn=enter)

    def zeros(self, sequence, base_step):
        """A push without a single element that is not 0."""
        chunk = api.ParameterChunk(encoding=api.ENCODING_SPARSE, element_count=self.ELEMENTS)
        return push(header(sequence, base_step=base_step), chunk)

    def test_pushes_and_slow_readers_stay_within_it(self):
        run = spec(self.ELEMENTS)
        run.policy.asynchronous.SetInParent()
        self.create("run", run)
        # A gigabyte of pushes.
        workers = 25
        outcomes = push_at_once(self.training, "runs/run", self.ELEMENTS, workers)
        self.assertEqual(outcomes, [api.PUSH_OUTCOME_APPLIED] * workers)
        # Ten readers who stand still, each at a version of 40 MB.
        worker = Stream(self.training, join("stepper", run="runs/run"))
        self.addCleanup(worker.cancel)
        worker.next()
        for step in range(1, 11):
            pull = self.training.Pull(api.PullRequest(run="runs/run"))
            self.addCleanup(pull.cancel)
            next(pull)
            worker.send(self.zeros(step, workers + step - 1))
            self.assertEqual(worker.next().push_result.outcome, api.PUSH_OUTCOME_APPLIED)

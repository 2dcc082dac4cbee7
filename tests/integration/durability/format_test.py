"""Runs that a server of state directory format 1 has left are read by this one, to the bits that it had."""
import os
import pathlib
import shutil
import subprocess

from gradd.v1 import run_pb2
from gradd_process import TIMEOUT_SECONDS, program
from kept_run import KeptRunTest

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "golden"


class FormatTest(KeptRunTest):
    """The server was killed: `journaled` had a checkpoint of step 0 and a journal of 60 steps, `plain` a
    checkpoint of step 40 and a change after it."""

    @property
    def OPTIONS(self):  # pylint: disable=invalid-name
        options = super().OPTIONS
        if not os.path.exists(self.state):
            shutil.copytree(GOLDEN / "state_1", self.state)
        return options

    def expect_parameters(self, run):
        self.assertEqual(self.parameters(run), (GOLDEN / f"state_1_{run}.f32").read_bytes())

    def test_the_journal_leads_to_the_same_bits(self):
        run = self.recovered("journaled")
        self.assertEqual((run.progress.step, run.timeline, run.state),
                         (60, 1, run_pb2.RUN_STATE_FINISHED))
        self.assertEqual(dict(run.labels), {"kind": "golden"})
        self.assertEqual([worker.last_sequence for worker in run.workers], [60, 60])
        self.expect_parameters("journaled")

    def test_the_checkpoint_and_what_people_did_after_it_are_there(self):
        run = self.recovered("plain")
        self.assertEqual((run.progress.step, run.timeline, run.max_steps), (40, 2, 100))
        self.expect_parameters("plain")

    def test_every_file_is_as_it_was_written(self):
        done = subprocess.run([program("gradctl"), "verify", str(GOLDEN / "state_1")], check=True,
                              stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_SECONDS)
        self.assertTrue(done.stdout.endswith("6 files, all as they were written\n"), done.stdout)

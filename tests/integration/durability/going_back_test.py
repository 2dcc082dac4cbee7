"""A run that is kept on disk goes back to a checkpoint, is forked, and outlives kill -9 of its server."""
import json
import os
import struct
import subprocess

from gradd.v1 import run_pb2
from gradd.v1 import training_service_pb2 as api
from gradd_process import TIMEOUT_SECONDS, program, until
from kept_run import KeptRunTest
from train_stream import Stream, header, join, push


class GoingBackTest(KeptRunTest):
    def verify(self):
        """Its exit status, and what it printed."""
        done = subprocess.run([program("gradctl"), "verify", self.state], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=TIMEOUT_SECONDS, check=False)
        return done.returncode, done.stdout, done.stderr

    def step_after(self, run, step):
        until(f"step {step}", lambda: self.describe(run).progress.step > step)

    def test_a_run_goes_back_is_forked_and_is_as_it_was_told_after_kill_9(self):
        self.create_run("r", "--optimizer", "adam", "--learning-rate", "0.01", "--policy",
                        "asynchronous", "--steps", "100000000")
        workers = [self.start_worker("r", "--rank", str(rank), "--workers", "2") for rank in (0, 1)]
        self.step_after("r", 50)
        first = self.checkpoint("r")
        self.gradctl("set", "r", "learning-rate=0.02", "labels.kind=test")
        self.step_after("r", first + 50)
        second = self.checkpoint("r")
        self.assertGreater(second, first)

        # A slow worker has parameters of a step that is given up.
        slow = Stream(self.training, join(worker="slow", sends_timelines=True))
        welcome = slow.next().welcome
        self.assertGreater(welcome.step, first)
        text = self.gradctl("restore", "r", "--step", str(first), "--author", "ada")
        self.assertRegex(text, f"^r: went back from step [0-9]+ of timeline 1 to step {first} of "
                               "timeline 1, and goes on as timeline 2\n")
        self.assertIn("  schedule.learning_rate: 0.02 -> 0.01\n", text)
        event = slow.next().event
        self.assertEqual((event.kind, event.timeline, event.step),
                         (api.RUN_EVENT_KIND_TIMELINE, 2, first))
        head = header(base_step=welcome.step)
        head.timeline = welcome.timeline
        values = struct.pack(f"<{welcome.parameter_count}f", *[1e9] * welcome.parameter_count)
        slow.send(push(head, api.ParameterChunk(data=values)))
        result = slow.next().push_result
        self.assertEqual((result.outcome, result.last_sequence), (api.PUSH_OUTCOME_ROLLED_BACK, 0))
        slow.send(api.TrainRequest(leave=api.Leave()))
        slow.cancel()

        # The others go on by themselves.
        self.step_after("r", second + 10)
        described = self.describe("r")
        self.assertEqual((described.timeline, described.schedule.learning_rate), (2, 0.01))
        self.assertEqual(described.labels["kind"], "test")
        self.assertLess(described.progress.parameter_norm, 1e6)
        self.assertEqual([worker.applied_pushes for worker in described.workers
                          if worker.worker == "slow"], [0])
        self.assertIn(("step", "ada"),
                      [(change.field, change.author) for change in described.history])
        for worker in workers:
            self.assertIsNone(worker.poll())
            worker.kill()
            worker.wait()

        table = self.gradctl("checkpoints", "r")
        self.assertRegex(table, f"1 +{second} .* given up\n")
        self.assertRegex(table, f"2 +{first} .* newest\n")
        self.assertRegex(self.gradctl("show", "r"), r"checkpoints +every 1m, the newest 3 are kept; newest: step [0-9]")

        # How far two of them are apart; and that one is no other than itself.
        lines = self.gradctl("diff", "r", str(first), f"1/{second}").splitlines()
        self.assertEqual(lines[1].split(), ["TENSOR", "ELEMENTS", "NORM", "CHANGE", "RELATIVE"])
        self.assertTrue(lines[2].startswith("(all)"))
        self.assertGreater(float(lines[2].split()[-1]), 0)
        changes = [float(line.split()[-1]) for line in lines[3:] if line.split()[-1] != "-"]
        self.assertEqual(changes, sorted(changes, reverse=True))
        same = json.loads(self.gradctl("--json", "diff", "r", f"1/{first}", f"2/{first}"))
        self.assertEqual(same["total"]["difference"], 0)

        # A fork begins with the very parameters that the run has when it goes back once more.
        self.gradctl("fork", "r", "f", "--step", str(first), "learning-rate=0.5")
        fork = self.describe("f")
        self.assertEqual((fork.progress.step, fork.schedule.learning_rate, fork.timeline),
                         (first, 0.5, 1))
        self.gradctl("restore", "r", "--step", str(first))
        self.kill_and_start_again()
        run = self.recovered("r")
        # Without a journal, nobody can tell whether there were steps after that: it is given up.
        self.assertEqual((run.progress.step, run.timeline), (first, 4))
        self.assertIn(("timeline", "2", "3"), [(change.field, change.old_value, change.new_value)
                                               for change in run.history])
        self.recovered("f")
        self.assertEqual(self.parameters("r"), self.parameters("f"))
        self.assertEqual(run.state, run_pb2.RUN_STATE_RUNNING)
        self.start_worker("r", "--rank", "0", "--workers", "1")
        self.step_after("r", first + 10)

        # All that is on the disk is as it was written, with a server and without one.
        code, text, errors = self.verify()
        self.assertEqual(code, 0, text + errors)
        self.assertIn("a server has", errors)
        self.server.kill()
        self.server.wait()
        code, text, errors = self.verify()
        self.assertEqual((code, errors), (0, ""), text)
        folder = os.path.join(self.state, "runs", "f")
        name = next(name for name in os.listdir(folder) if name.startswith("checkpoint"))
        with open(os.path.join(folder, name), "r+b") as file:
            file.seek(-100, os.SEEK_END)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
        code, text, errors = self.verify()
        self.assertEqual(code, 1)
        self.assertRegex(text, f"runs/f/{name}: DAMAGED.*checksum")
        self.assertIn("1 of ", errors)

"""A run whose loss leaves for good is paused, or rolled back to the checkpoint before with a smaller rate."""
import math
import struct

from gradd.v1 import run_pb2
from gradd.v1 import run_service_pb2 as run_api
from gradd.v1 import training_service_pb2 as api
from gradd_process import until
from kept_run import KeptRunTest
from train_stream import Stream, header, join

GOOD, BAD = 1.0, 1000.0  # Losses.


class GuardTest(KeptRunTest):
    def guard(self, **values):
        request = run_api.UpdateRunRequest(run=run_pb2.Run(name="runs/r", guard=run_pb2.DivergenceGuard(**values)))
        request.update_mask.paths.append("guard")
        self.runs.UpdateRun(request, timeout=10)

    def begin(self, **guard):
        self.create_run("r", "--optimizer", "sgd", "--learning-rate", "0.5", "--policy", "asynchronous")
        self.guard(**guard)
        elements = self.describe("r").parameter_count
        self.gradient = struct.pack(f"<{elements}f", *([0.0] * elements))
        self.stream = Stream(self.training, join(worker="w", sends_timelines=True))
        self.place = self.stream.next().welcome
        self.sequence, self.timeline = self.place.last_sequence, self.place.timeline

    def push(self, loss):
        """False: the run does not go on, or on another timeline."""
        run = self.describe("r")
        if run.state != run_pb2.RUN_STATE_RUNNING or run.timeline != self.timeline:
            return False
        self.sequence += 1
        head = header(sequence=self.sequence, base_step=run.progress.step, loss=loss)
        head.timeline = self.timeline
        part = api.Push(header=head, chunk=api.ParameterChunk(data=self.gradient),
                        commit=api.PushCommit())
        self.stream.send(api.TrainRequest(push=part))
        message = self.stream.next()
        while not message.HasField("push_result"):
            if message.event.kind == api.RUN_EVENT_KIND_TIMELINE:
                return False
            message = self.stream.next()
        return message.push_result.outcome == api.PUSH_OUTCOME_APPLIED

    def diverge(self, good_steps=200):
        for _ in range(good_steps):
            self.assertTrue(self.push(GOOD))
        step = self.checkpoint("r")
        for _ in range(200):
            if not self.push(BAD):
                return step
        return self.fail("it was never stopped")

    def test_it_is_paused(self):
        self.begin(action=run_pb2.DivergenceGuard.ACTION_PAUSE)
        self.diverge()
        run = self.describe("r")
        self.assertEqual(run.state, run_pb2.RUN_STATE_PAUSED)
        self.assertIn("loss is 1e+03x its best since step ", run.progress.reason)
        self.assertEqual(run.timeline, 1)

    def test_it_is_rolled_back_with_a_smaller_rate_and_as_often_as_it_may(self):
        self.begin(action=run_pb2.DivergenceGuard.ACTION_ROLL_BACK, rate_factor=0.1, most_rollbacks=1)
        good = self.diverge()
        until("its rollback", lambda: self.describe("r").timeline == 2)
        run = until("its going on", lambda: self.describe("r") if
                    self.describe("r").state == run_pb2.RUN_STATE_RUNNING else None)
        self.assertEqual(run.progress.step, good)
        self.assertAlmostEqual(run.schedule.learning_rate, 0.05)
        changes = {change.field: change for change in run.history if change.author == "guard"}
        self.assertIn("schedule.learning_rate", changes)
        self.assertIn("timeline", changes)

        # A second time it may not; and what it is told of is still so after a restart.
        self.stream.cancel()
        self.stream = Stream(self.training, join(worker="w", sends_timelines=True))
        welcome = self.stream.next().welcome
        self.sequence, self.timeline = welcome.last_sequence, welcome.timeline
        self.diverge(good_steps=40)
        until("its being given up", lambda: "it has done so 1 times" in self.describe("r").progress.reason)
        run = self.describe("r")
        self.assertEqual((run.state, run.timeline), (run_pb2.RUN_STATE_PAUSED, 2))
        # Whoever looks may see it a moment before it is durable.
        self.checkpoint("r")
        self.kill_and_start_again()
        run = self.recovered("r")
        self.assertEqual(run.state, run_pb2.RUN_STATE_PAUSED)
        self.assertAlmostEqual(run.schedule.learning_rate, 0.05)

    def test_a_loss_that_is_not_finite_takes_it_back_to_before_it_left(self):
        self.begin(action=run_pb2.DivergenceGuard.ACTION_ROLL_BACK)
        for _ in range(150):
            self.assertTrue(self.push(GOOD))
        self.assertEqual(self.checkpoint("r"), 150)
        for loss in [GOOD] * 55 + [1e9, 1e19, 1e30]:
            self.assertTrue(self.push(loss))
        self.assertEqual(self.checkpoint("r"), 208)
        self.assertFalse(self.push(math.nan))
        until("its rollback", lambda: self.describe("r").timeline == 2)
        run = until("its going on", lambda: self.describe("r") if
                    self.describe("r").state == run_pb2.RUN_STATE_RUNNING else None)
        self.assertEqual((run.progress.step, run.schedule.learning_rate), (150, 0.25))

        # What was given up can be looked at, also later.
        for _ in range(2):
            steps = self.runs.GetHistory(run_api.GetHistoryRequest(name="runs/r")).steps
            self.assertEqual(list(zip(steps.timelines, steps.steps)),
                             [(1, step) for step in range(1, 209)])
            self.assertEqual(list(steps.losses[-3:]), [1e9, 1e19, 1e30])
            self.checkpoint("r")
            self.kill_and_start_again()
            self.recovered("r")

    def test_without_a_checkpoint_from_before_it_stays_paused(self):
        self.begin(action=run_pb2.DivergenceGuard.ACTION_ROLL_BACK)
        for _ in range(100):
            self.assertTrue(self.push(GOOD))
        for _ in range(200):
            if not self.push(BAD):
                break
        until("its being given up",
              lambda: "there is no checkpoint from before step " in self.describe("r").progress.reason)
        self.assertEqual(self.describe("r").state, run_pb2.RUN_STATE_PAUSED)

"""A run that stands still, with a worker beside it: what gradctl's tools try things out on."""
import os

from gradd.v1 import run_pb2
from gradd.v1 import run_service_pb2 as run_api
from gradd.v1 import training_service_pb2 as training
from gradd_process import ServerTest, TIMEOUT_SECONDS, until

FASHION_MNIST = ("--data", "fashion-mnist", "--model", "mlp", "--hidden", "128", "--batch", "64")


class PausedRunTest(ServerTest):
    MODEL = ("--data", "synthetic", "--model", "mlp", "--hidden", "32", "--features", "20",
             "--examples", "6000", "--test-examples", "10", "--batch", "32")

    def create_run(self, run, *options):
        layout = os.path.join(self.directory, "layout.json")
        with open(layout, "w", encoding="utf-8") as file:
            file.write(self.run_program("gradworker", *self.MODEL, "--print-layout"))
        self.run_program("gradctl", "--server", self.grpc, "create", run, "--layout", layout, *options)

    def start_worker(self, run, *options):
        return self.start("gradworker", "--server", self.grpc, "--run", run, *self.MODEL, *options)

    def create_paused(self, run, *options):
        """With a worker, whose first push waits."""
        self.create_run(run, *options)
        self.runs.PauseRun(run_api.PauseRunRequest(name=f"runs/{run}"), timeout=TIMEOUT_SECONDS)
        worker = self.start_worker(run)
        until("the worker's push", lambda: [
            status for status in self.describe(run).workers
            if status.state == run_pb2.WORKER_STATE_WAITING])
        return worker

    def parameters(self, run):
        chunks = self.training.Pull(training.PullRequest(run=f"runs/{run}"), timeout=TIMEOUT_SECONDS)
        return b"".join(chunk.data for chunk in chunks)

    def what_must_stay(self, run):
        """Step, parameters and history."""
        described = self.describe(run)
        return (described.progress.step, described.state, self.parameters(run),
                [change.SerializeToString() for change in described.history])

    def run_ids(self):
        return [run.name for run in self.runs.ListRuns(run_api.ListRunsRequest(),
                                                       timeout=TIMEOUT_SECONDS).runs]

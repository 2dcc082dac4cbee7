"""train.py, a worker made of nothing but the generated stubs."""
import ast
import os
import re
import signal
import struct
import subprocess
import sys

from gradd.v1 import run_pb2
from gradd.v1 import training_service_pb2 as training
from gradd_process import ServerTest, TIMEOUT_SECONDS

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "train.py")


def lines_of_code(path):
    """Lines that are neither blank nor comment nor the docstring."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    docstring = ast.parse(text).body[0]
    lines = text.splitlines()[docstring.end_lineno:]
    return sum(1 for line in lines if line.strip() and not line.strip().startswith("#"))


class PythonWorkerTest(ServerTest):
    def create_linear(self):
        run = run_pb2.Run()
        run.layout.tensors.add(name="weights", shape=[2])
        run.layout.tensors.add(name="bias")
        run.optimizer.momentum.momentum = 0.9
        run.schedule.learning_rate = 0.3
        run.policy.synchronous.workers = 1
        return self.create("linear", run)

    def train(self, run):
        return subprocess.run(
            [sys.executable, SCRIPT, self.grpc, run], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_SECONDS, check=False)

    def test_forty_lines_with_the_generated_stubs_train_a_model(self):
        self.assertLessEqual(lines_of_code(SCRIPT), 40)
        self.assertEqual(self.create_linear().parameter_count, 3)

        script = self.train("runs/linear")
        self.assertEqual(script.returncode, 0, script.stderr)
        result = re.fullmatch(r"loss (\S+) after (\d+) steps\n", script.stdout)
        self.assertIsNotNone(result, script.stdout)
        self.assertLess(float(result[1]), 1e-6)

        run = self.describe("linear")
        self.assertEqual(run.progress.step, int(result[2]))
        self.assertGreater(run.progress.step, 1)
        self.assertEqual(run.progress.applied_pushes, run.progress.step)
        self.assertEqual(run.progress.rejected_pushes, 0)
        self.assertEqual(run.workers[0].worker, "python")
        self.assertEqual(run.workers[0].state, run_pb2.WORKER_STATE_LEFT)
        chunks = list(self.training.Pull(
            training.PullRequest(run="runs/linear"), timeout=TIMEOUT_SECONDS))
        parameters = struct.unpack("<3f", b"".join(chunk.data for chunk in chunks))
        for found, expected in zip(parameters, (3, -2, 0.5)):
            self.assertAlmostEqual(found, expected, delta=0.01)

        # The ledger lets a second process of the same worker go on where the first ended.
        again = self.train("runs/linear")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn(f"after {run.progress.step} steps", again.stdout)

    def test_a_script_that_fails_leaves_the_server_up_and_it_stops_on_sigterm(self):
        script = self.train("runs/none")
        self.assertNotEqual(script.returncode, 0)
        self.assertIn("NOT_FOUND", script.stderr)
        self.assertEqual(self.get("/healthz"), "ok\n")
        self.create_linear()
        self.assertEqual(self.train("runs/linear").returncode, 0)
        self.server.send_signal(signal.SIGTERM)
        self.assertEqual(self.server.wait(timeout=TIMEOUT_SECONDS), 0)

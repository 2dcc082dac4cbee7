"""What gradd promises of numbers, with real workers and a real server."""
import os
import struct

from gradd.v1 import training_service_pb2 as training
from gradd_process import ServerTest, TIMEOUT_SECONDS

MODEL = ("--data", "synthetic", "--model", "mlp", "--hidden", "64,32", "--features", "40",
         "--examples", "12000", "--test-examples", "10", "--eval-every", "0")
STEPS = 100


class NumbersTest(ServerTest):
    def train(self, run, optimizer, batch, workers, arguments=lambda rank: (),
              environment=lambda rank: {}):
        """Trains for STEPS steps and returns the bytes of the parameters."""
        layout = os.path.join(self.directory, "layout.json")
        with open(layout, "w", encoding="utf-8") as file:
            file.write(self.run_program("gradworker", *MODEL, "--print-layout"))
        self.run_program("gradctl", "--server", self.grpc, "create", run, "--layout", layout,
                         "--workers", str(workers), "--steps", str(STEPS), "--seed", "3", *optimizer)
        processes = [
            self.start("gradworker", "--server", self.grpc, "--run", run, *MODEL, "--seed", "5",
                       "--batch", str(batch), "--rank", str(rank), "--workers", str(workers),
                       *arguments(rank), env={**os.environ, **environment(rank)})
            for rank in range(workers)]
        for process in processes:
            self.assertEqual(process.wait(timeout=TIMEOUT_SECONDS), 0)
        progress = self.describe(run).progress
        self.assertEqual(progress.step, STEPS)
        self.assertEqual(progress.applied_pushes, STEPS * workers)
        chunks = self.training.Pull(training.PullRequest(run=f"runs/{run}"), timeout=TIMEOUT_SECONDS)
        return b"".join(chunk.data for chunk in chunks)

    def test_two_workers_with_half_the_batch_are_one_worker(self):
        for optimizer in (("--optimizer", "momentum", "--learning-rate", "0.05"),
                          ("--optimizer", "adam", "--learning-rate", "0.001")):
            name = optimizer[1]
            one = self.train(f"{name}-one", optimizer, batch=64, workers=1)
            two = self.train(f"{name}-two", optimizer, batch=32, workers=2)
            self.assertEqual(len(one), len(two))
            floats = f"<{len(one) // 4}f"
            pairs = list(zip(struct.unpack(floats, one), struct.unpack(floats, two)))
            difference = sum((a - b) ** 2 for a, b in pairs) ** 0.5
            norm = sum(a * a for a, _ in pairs) ** 0.5
            self.assertGreater(norm, 1)
            self.assertLess(difference / norm, 1e-5, name)

    def test_a_synchronous_run_has_the_same_bits_whatever_the_threads_and_delays(self):
        optimizer = ("--optimizer", "adam", "--learning-rate", "0.01")
        once = self.train("once", optimizer, batch=32, workers=3)
        again = self.train(
            "again", optimizer, batch=32, workers=3,
            arguments=lambda rank: ("--threads", str(rank + 2), "--delay", str(2 * rank)),
            environment=lambda rank: {"OMP_NUM_THREADS": str(rank + 1)})
        self.assertEqual(once, again)

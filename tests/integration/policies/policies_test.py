"""Every way to make a step trains Fashion-MNIST as well as lock-step, where a worker is much slower than the others."""
import os
import re
import signal
import threading

from gradd_process import ServerTest, TIMEOUT_SECONDS

WORKERS = 5
MODEL = ("--data", "fashion-mnist", "--model", "mlp", "--hidden", "64")
BATCH = 32
STEPS = 600  # Of all workers together: as many examples are seen in each way.
RATE = 0.1
# Points of test accuracy that each may be worse than lock-step.
POINTS = 1

# Where each push is a step, there are five times as many, each with a fifth of the rate.
TOGETHER = (
    ("--quorum", "4"),
    ("--quorum", "4", "--late-pushes", "carried"),
)
APART = (
    ("--policy", "bounded-staleness", "--staleness-bound", "3"),
    ("--policy", "asynchronous", "--delay-compensation", "0.5", "--kept-steps", "30", "--old-bases", "uncorrected"),
    ("--policy", "asynchronous", "--age-decay", "0.05", "--age-cutoff", "100"),
)


class SlowedDown:
    """Lets a process run for a quarter of the time, until the end of the `with`."""

    def __init__(self, process):
        self._process = process
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()

    def _run(self):
        while self._process.poll() is None:
            self._process.send_signal(signal.SIGSTOP)
            done = self._done.wait(0.03)
            self._process.send_signal(signal.SIGCONT)
            if done or self._done.wait(0.01):
                return


class PoliciesTest(ServerTest):
    def setUp(self):
        super().setUp()
        self.layout = os.path.join(self.directory, "layout.json")
        with open(self.layout, "w", encoding="utf-8") as file:
            file.write(self.run_program("gradworker", *MODEL, "--print-layout"))

    def accuracy(self, run, policy, apart):
        """Percent of the test set after the run."""
        steps, rate = (STEPS * WORKERS, RATE / WORKERS) if apart else (STEPS, RATE)
        starts_with = () if apart else ("--workers", str(WORKERS))
        self.run_program("gradctl", "--server", self.grpc, "create", run, "--layout", self.layout, "--steps", str(steps),
                         "--seed", "3", "--learning-rate", str(rate), "--schedule", "exponential",
                         "--decay-steps", str(steps // 2), "--decay-rate", "0.3", *starts_with, *policy)
        worker = ("--server", self.grpc, "--run", run, *MODEL, "--seed", "5", "--batch", str(BATCH),
                  "--eval-every", "0", "--workers", str(WORKERS))
        with open(os.devnull, "wb") as nowhere:
            others = [self.start("gradworker", *worker, "--rank", str(rank), stdout=nowhere) for rank in range(1, WORKERS)]
        with SlowedDown(others[-1]):
            output = self.run_program("gradworker", *worker, "--rank", "0")
        for other in others:
            self.assertEqual(other.wait(timeout=TIMEOUT_SECONDS), 0)
        self.assertEqual(self.describe(run).progress.step, steps)
        return 100 * float(re.findall(r"test accuracy ([0-9.]+)", output)[-1])

    def test_each_trains_as_well_as_lock_step(self):
        expected = self.accuracy("lock-step", (), apart=False)
        self.assertGreater(expected, 80)
        for policies, apart in ((TOGETHER, False), (APART, True)):
            for number, policy in enumerate(policies):
                with self.subTest(policy):
                    found = self.accuracy(f"{'apart' if apart else 'together'}-{number}", policy, apart)
                    self.assertGreater(found, expected - POINTS)

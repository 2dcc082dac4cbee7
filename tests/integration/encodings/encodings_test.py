"""Every encoding trains Fashion-MNIST about as well as float32, with real workers and server."""
import os
import re

from gradd_process import ServerTest, TIMEOUT_SECONDS

MODEL = ("--data", "fashion-mnist", "--model", "mlp", "--hidden", "128")
STEPS = 2000
# The falling rate makes the accuracy of the last step a fair sample of those before it.
OPTIMIZER = ("--optimizer", "sgd", "--learning-rate", "0.1", "--schedule", "exponential",
             "--decay-steps", "1000", "--decay-rate", "0.3")
# Points of test accuracy that each may be worse than float32. Random-k sends an element once in
# 1 / fraction steps on average: with 1 % that is 20 times in this run, too few to converge.
ENCODINGS = (
    (("--push-encoding", "bfloat16", "--parameter-encoding", "bfloat16"), 0.5),
    (("--push-encoding", "float16", "--parameter-encoding", "float16"), 0.5),
    (("--push-encoding", "int8"), 0.5),
    (("--push-encoding", "top-k", "--fraction", "0.01"), 1.5),
    (("--push-encoding", "random-k", "--fraction", "0.1"), 1.5),
    # Of the first layer, rows of pixels that no example has. SGD does the same with and without them.
    (("--push-encoding", "rows"), 0.01),
)


class EncodingsTest(ServerTest):
    def setUp(self):
        super().setUp()
        self.layout = os.path.join(self.directory, "layout.json")
        with open(self.layout, "w", encoding="utf-8") as file:
            file.write(self.run_program("gradworker", *MODEL, "--print-layout"))

    def accuracy(self, run, arguments):
        """Percent of the test set after STEPS steps of two workers."""
        self.run_program("gradctl", "--server", self.grpc, "create", run, "--layout", self.layout,
                         "--workers", "2", "--steps", str(STEPS), "--seed", "3", *OPTIMIZER)
        worker = ("--server", self.grpc, "--run", run, *MODEL, "--seed", "5", "--batch", "32",
                  "--eval-every", "0", "--workers", "2", *arguments)
        with open(os.devnull, "wb") as nowhere:
            other = self.start("gradworker", *worker, "--rank", "1", stdout=nowhere)
        output = self.run_program("gradworker", *worker, "--rank", "0")
        self.assertEqual(other.wait(timeout=TIMEOUT_SECONDS), 0)
        self.assertEqual(self.describe(run).progress.applied_pushes, 2 * STEPS)
        return 100 * float(re.findall(r"test accuracy ([0-9.]+)", output)[-1])

    def test_every_encoding_trains_about_as_well_as_float32(self):
        expected = self.accuracy("float32", ())
        self.assertGreater(expected, 85)
        for arguments, points in ENCODINGS:
            with self.subTest(arguments):
                self.assertGreater(self.accuracy(arguments[1], arguments), expected - points)

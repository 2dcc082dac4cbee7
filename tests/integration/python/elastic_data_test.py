"""Workers of a run with a data set join, die and stop as they like: every example is used as often as
it is to be, and no more."""
import os
import random
import signal
import struct
import subprocess
import sys
import unittest

from google.protobuf import json_format
from gradd.v1 import run_pb2
from gradd.v1 import training_service_pb2 as training
from gradd_process import ServerTest, TIMEOUT_SECONDS, program, until

from example_permutation import ExamplePermutation, examples_of

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "elastic_worker.py")
EXAMPLES, BATCH, EPOCHS = 301, 2, 3


class ExamplePermutationTest(unittest.TestCase):
    def test_it_is_the_documented_one(self):
        def first(examples, seed, epoch, places):
            order = ExamplePermutation(examples, seed, epoch)
            return [order(place) for place in range(places)]
        self.assertEqual(first(10, 0, 0, 10), [1, 7, 5, 3, 4, 2, 9, 6, 8, 0])
        self.assertEqual(first(10, 0, 1, 10), [5, 9, 3, 0, 4, 6, 7, 2, 8, 1])
        self.assertEqual(first(10, 1, 0, 10), [2, 5, 8, 0, 9, 3, 1, 7, 6, 4])
        self.assertEqual(first(60000, 7, 2, 4), [57831, 57937, 50468, 11498])
        self.assertEqual(first(1000003, 2**64 - 1, 5, 3), [627750, 453718, 684412])
        self.assertEqual(first(2**40, 42, 2**31, 2), [515943756869, 973342442678])
        self.assertEqual(examples_of(5, examples=10, batch_size=4, seed=3), [5, 7])


class ElasticDataTest(ServerTest):
    def create_counting(self):
        run = run_pb2.Run()
        run.layout.tensors.add(name="uses", shape=[EXAMPLES])
        run.optimizer.sgd.SetInParent()
        run.schedule.learning_rate = 1
        run.policy.asynchronous.SetInParent()  # Each push is a step: the sums are whole numbers.
        run.lease_duration.seconds = 1
        run.data.examples = EXAMPLES
        run.data.batch_size = BATCH
        run.data.seed = 5
        run.data.epochs = EPOCHS
        return self.create("r", run)

    def progress(self, run="r"):
        return self.describe(run).progress

    def test_every_example_is_applied_three_times_whatever_workers_do(self):
        seed = random.randrange(2**32)
        print(f"seed {seed}")
        chance = random.Random(seed)
        self.create_counting()
        workers = []
        started = 0

        def join():
            nonlocal started
            started += 1
            # Sometimes under the id of one that has gone.
            worker = f"w{started if chance.random() < 0.7 else chance.randint(1, started)}"
            workers.append(subprocess.Popen(
                [sys.executable, SCRIPT, self.grpc, "runs/r", worker, str(chance.getrandbits(32))],
                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
            self.addCleanup(workers[-1].wait)
            self.addCleanup(workers[-1].kill)

        def running():
            return [worker for worker in workers if worker.poll() is None]

        batches = -(-EXAMPLES // BATCH) * EPOCHS
        for _ in range(4):
            join()
        killed = stopped = 0
        used = 0
        while used < batches:
            # Something happens whenever some more batches are used, until all are.
            target = min(used + chance.randint(5, 30), batches)

            def is_there():
                if not running():
                    join()
                return self.progress().data.used_batches >= target
            until(f"the use of {target} batches", is_there)
            used = self.progress().data.used_batches
            there = running()
            what = chance.random()
            if what < 0.4 and there:
                chance.choice(there).send_signal(signal.SIGKILL)
                killed += 1
            elif what < 0.6 and there:
                chance.choice(there).send_signal(signal.SIGTERM)
                stopped += 1
            elif len(there) < 6:
                join()
        self.assertGreater(killed, 0)
        progress = until("the end of the run", lambda: self.ended_progress())
        for worker in workers:
            worker.wait(timeout=TIMEOUT_SECONDS)
            errors = worker.stderr.read()
            worker.stderr.close()
            # An id that another process has is refused.
            if worker.returncode not in (0, -signal.SIGKILL, -signal.SIGTERM):
                self.assertIn("ALREADY_EXISTS", errors)
        chunks = list(self.training.Pull(training.PullRequest(run="runs/r"),
                                         timeout=TIMEOUT_SECONDS))
        uses = struct.unpack(f"<{EXAMPLES}f", b"".join(chunk.data for chunk in chunks))
        self.assertEqual(uses, (float(EPOCHS),) * EXAMPLES)
        self.assertEqual(progress.examples, EXAMPLES * EPOCHS)
        self.assertEqual(progress.data.used_batches, batches)
        self.assertEqual(progress.data.skipped_batches, 0)
        self.assertEqual(progress.data.epoch, EPOCHS)
        print(f"{started} workers, {killed} killed, {stopped} stopped, "
              f"{progress.rejected_pushes} pushes in vain")

    def ended_progress(self):
        progress = self.progress()
        return progress if progress.state == run_pb2.RUN_STATE_FINISHED else None

    DATA = ("--model", "softmax", "--data", "synthetic", "--examples", "2000", "--features", "8")

    def create_softmax(self, policy):
        layout = self.run_program("gradworker", *self.DATA, "--print-layout")
        run = run_pb2.Run(policy=policy)
        json_format.Parse(layout, run.layout)
        run.optimizer.sgd.SetInParent()
        run.schedule.learning_rate = 0.1
        run.lease_duration.seconds = 1
        run.data.examples = 2000
        run.data.batch_size = 30
        run.data.epochs = 3
        self.create("s", run)

    def train_softmax(self):
        workers = [self.start("gradworker", *self.DATA, "--server", self.grpc, "--run", "s",
                              "--delay", "5", "--evaluate", "no") for _ in range(3)]
        until("some steps", lambda: self.progress("s").data.used_batches > 20)
        workers[0].kill()
        until("some more", lambda: self.progress("s").data.used_batches > 60)
        workers[1].terminate()
        for worker in workers[1:]:
            self.assertEqual(worker.wait(timeout=TIMEOUT_SECONDS), 0)
        progress = self.progress("s")
        self.assertEqual(progress.state, run_pb2.RUN_STATE_FINISHED)
        self.assertEqual(progress.examples, 3 * 2000)
        self.assertEqual(progress.data.used_batches, 3 * 67)

    def test_gradworkers_need_no_rank_in_an_asynchronous_run(self):
        policy = run_pb2.Run().policy
        policy.asynchronous.SetInParent()
        self.create_softmax(policy)
        self.train_softmax()

    def test_gradworkers_need_no_rank_in_a_synchronous_run(self):
        policy = run_pb2.Run().policy
        policy.synchronous.workers = 2
        self.create_softmax(policy)
        self.train_softmax()

    def test_gradworker_says_what_does_not_suit_the_data_set(self):
        policy = run_pb2.Run().policy
        policy.synchronous.workers = 1
        self.create_softmax(policy)

        def refusal(*arguments, examples="2000"):
            data = [examples if value == "2000" else value for value in self.DATA]
            worker = subprocess.run(
                [program("gradworker"), *data, "--server", self.grpc, "--run", "s", *arguments],
                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                timeout=TIMEOUT_SECONDS, check=False)
            self.assertEqual(worker.returncode, 2, worker.stderr)
            return worker.stderr
        self.assertIn("--rank and --workers: given, and the run has a data set",
                      refusal("--rank", "0"))
        self.assertIn("--data: it has 500 examples, and the run's data set 2000",
                      refusal(examples="500"))
        worker = subprocess.run(
            [program("gradworker"), *self.DATA, "--server", self.grpc, "--run", "s", "--batch", "10",
             "--steps", "1"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=TIMEOUT_SECONDS, check=True)
        self.assertIn("--batch: not used, since s hands out batches of 30 examples", worker.stdout)

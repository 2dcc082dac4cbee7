"""Servers and workers are killed at random moments; a run with a state directory ends as if nobody had been.

python3 kill_test.py --kills 30    (with the environment that ctest gives it) kills more often.
"""
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import unittest

import grpc
from gradd.v1 import run_pb2
from gradd.v1 import run_service_pb2 as run_api
from gradd.v1 import run_service_pb2_grpc as run_services
from gradd.v1 import training_service_pb2 as api
from gradd.v1 import training_service_pb2_grpc as training_services
from google.protobuf import json_format
from gradd_process import TIMEOUT_SECONDS, program, spec, until
from train_stream import Stream, header, join, push

KILLS = int(os.environ.get("GRADD_KILLS", "4"))  # In each of the two kinds.
STEPS_PER_KILL = 150
MODEL = ("--model", "softmax", "--data", "synthetic", "--examples", "200", "--features", "8", "--classes", "3")


class KeptTest(unittest.TestCase):
    """A server with a state directory, which can be started again in its place."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.state = os.path.join(self.directory, "state")
        # The same for all servers, and nobody else's.
        self.address = "unix:" + os.path.join(self.directory, "socket")
        self.log = os.path.join(self.directory, "log")
        self.server = None

    def start(self, name, *arguments, **options):
        """Starts a program, which is killed at the end of the test at the latest."""
        process = subprocess.Popen([program(name), *arguments], stdin=subprocess.DEVNULL, **options)

        def end():
            if process.poll() is None:
                process.kill()
            process.wait()
        self.addCleanup(end)
        return process

    def begin_server(self, *options, state=None, **process_options):
        with open(self.log, "a", encoding="utf-8") as log:
            return self.start("gradd", "--listen", self.address, "--http", "", "--state-dir",
                              state or self.state, "--ready-file", self.ready(), *options, stderr=log,
                              **process_options)

    def ready(self):
        return os.path.join(self.directory, "ready")

    def serve(self, *options, **process_options):
        if os.path.exists(self.ready()):  # Of one that was killed.
            os.remove(self.ready())
        self.server = self.begin_server(*options, **process_options)

        def served():
            self.assertIsNone(self.server.poll(), self.said())
            return os.path.exists(self.ready())
        until("gradd's start", served)

    def said(self):
        with open(self.log, encoding="utf-8") as file:
            return file.read()

    def kill_server(self):
        self.server.kill()
        self.server.wait()

    def call(self, method, request):
        """Of RunService, on whatever server is there now."""
        with grpc.insecure_channel(self.address) as channel:
            return getattr(run_services.RunServiceStub(channel), method)(request, timeout=TIMEOUT_SECONDS)

    def create(self, run_id, run):
        return self.call("CreateRun", run_api.CreateRunRequest(run_id=run_id, run=run))

    def describe(self, run_id):
        """None while it is being recovered."""
        try:
            return self.call("GetRun", run_api.GetRunRequest(name=f"runs/{run_id}"))
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNAVAILABLE:
                return None
            raise

    def step(self, run_id):
        run = self.describe(run_id)
        return -1 if run is None else run.progress.step

    def recovered(self, run_id):
        return until(f"the recovery of {run_id}", lambda: self.describe(run_id))

    def parameters(self, run_id):
        path = os.path.join(self.directory, "parameters")
        self.run_program("gradctl", "--server", self.address, "pull", run_id, "--output", path + ".f32")
        with open(path + ".f32", "rb") as file:
            return file.read()

    def run_program(self, name, *arguments):
        done = subprocess.run([program(name), *arguments], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=TIMEOUT_SECONDS, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def worker(self, run_id, rank):
        # All examples of its share each time: what it pushes depends on the parameters alone.
        return self.start("gradworker", "--server", self.address, "--run", run_id, "--worker",
                          f"w{rank}", "--rank", str(rank), "--workers", "2", "--batch", "full",
                          *MODEL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class KillTest(KeptTest):
    def spec(self, steps, journal):
        layout = self.run_program("gradworker", *MODEL, "--print-layout")
        run = run_pb2.Run()
        json_format.Parse(layout, run.layout)
        run.optimizer.adam.SetInParent()
        run.schedule.learning_rate = 0.01
        run.policy.synchronous.workers = 2
        run.lease_duration.seconds = 600  # Nobody is given up, however busy the machine is.
        run.max_steps = steps
        run.journal = journal
        run.checkpoints.every_steps = 40
        run.checkpoints.every.seconds = 1
        return run

    def finished(self, run_id):
        run = self.describe(run_id)
        return run is not None and run.state == run_pb2.RUN_STATE_FINISHED and run

    def check(self, journal):
        seed = random.randrange(1 << 30)
        chance = random.Random(seed)
        print(f"{'journal' if journal else 'checkpoints'}: seed {seed}", flush=True)
        steps = STEPS_PER_KILL * (KILLS + 1)
        run = self.spec(steps, journal)
        self.serve()
        self.create("calm", run)
        calm = [self.worker("calm", rank) for rank in range(2)]
        for worker in calm:
            self.assertEqual(worker.wait(TIMEOUT_SECONDS + KILLS * 10), 0)
        expected = self.parameters("calm")

        self.create("r", run)
        workers = [self.worker("r", rank) for rank in range(2)]
        for kill in range(KILLS):
            moment = STEPS_PER_KILL * kill + chance.randrange(1, STEPS_PER_KILL)
            until(f"step {moment}", lambda: self.step("r") >= moment)
            if kill % 4 == 2:
                before = self.describe("r")
                self.server.send_signal(signal.SIGTERM)
                self.assertEqual(self.server.wait(TIMEOUT_SECONDS), 0, self.said())
                self.serve()
                found = self.recovered("r")
                self.assertGreaterEqual(found.progress.step, before.progress.step, f"seed {seed}")
                self.assertEqual(found.timeline, before.timeline, "nothing is lost")
            elif kill % 2 == 0:
                told = self.step("r")
                self.kill_server()
                self.serve()
                found = self.recovered("r")
                if journal:
                    self.assertGreaterEqual(found.progress.step, told, f"seed {seed}")
                    self.assertEqual(found.timeline, 1)
            else:
                rank = chance.randrange(2)
                workers[rank].kill()
                workers[rank].wait()
                workers[rank] = self.worker("r", rank)
        run = until("its end", lambda: self.finished("r"), TIMEOUT_SECONDS + KILLS * 10)
        self.assertEqual(run.progress.step, steps)
        self.assertEqual(self.parameters("r"), expected, f"seed {seed}")
        self.assertEqual(run.progress.applied_pushes, 2 * steps, f"seed {seed}: none is lost or doubled")
        for worker in workers:
            self.assertEqual(worker.wait(TIMEOUT_SECONDS), 0)
        # It is so after one more.
        self.kill_server()
        self.serve()
        self.recovered("r")
        self.assertTrue(self.finished("r"))
        self.assertEqual(self.parameters("r"), expected)

    def test_with_a_journal_nothing_is_lost(self):
        self.check(journal=True)

    def test_with_checkpoints_what_is_lost_is_computed_again(self):
        self.check(journal=False)


class StateDirectoryTest(KeptTest):
    def refused(self, *options, **process_options):
        """What a server that cannot start says."""
        before = len(self.said()) if os.path.exists(self.log) else 0
        server = self.begin_server(*options, **process_options)
        self.assertEqual(server.wait(TIMEOUT_SECONDS), 1)
        return self.said()[before:]

    @staticmethod
    def nobody():
        """Whoever runs the tests may be allowed to do everything."""
        if os.geteuid() == 0:
            os.setgid(65534)
            os.setuid(65534)

    def test_a_directory_has_one_server(self):
        self.serve()
        self.create("r", spec())
        refused = self.start("gradd", "--listen", "127.0.0.1:0", "--http", "", "--state-dir",
                             self.state, stderr=subprocess.PIPE, text=True)
        with refused.stderr as said:
            self.assertRegex(said.read(), "--state-dir: .*lock.*another process has it")
        self.assertEqual(refused.wait(TIMEOUT_SECONDS), 1)
        self.assertEqual(self.step("r"), 0)

    def test_files_of_somebody_else_stay_as_they_are(self):
        os.mkdir(self.state)
        with open(os.path.join(self.state, "thesis.tex"), "w", encoding="utf-8") as file:
            file.write("precious")
        self.assertIn('files of somebody else, such as "thesis.tex"', self.refused())
        self.assertEqual(os.listdir(self.state), ["thesis.tex"])

    def test_a_directory_that_cannot_be_written_is_named(self):
        os.chmod(self.directory, 0o755)
        os.mkdir(self.state)
        for mode in (0o555, 0o000):
            os.chmod(self.state, mode)
            said = self.refused(preexec_fn=self.nobody)
            self.assertRegex(said, f"--state-dir: .*{self.state}.*: Permission denied")
        above = os.path.join(self.state, "not", "there")
        os.chmod(self.state, 0o755)
        self.assertRegex(self.refused(state=above), "--state-dir: .*No such file or directory")


class FullDiskTest(KeptTest):
    BYTES = 1 << 20

    def setUp(self):
        super().setUp()
        os.mkdir(self.state)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.BYTES}", "tmpfs", self.state],
                                 stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            self.skipTest(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "--lazy", self.state], check=True)

    def test_a_run_waits_for_room_and_goes_on(self):
        self.serve()
        run = spec(elements=2)
        run.optimizer.adam.SetInParent()
        run.policy.asynchronous.SetInParent()
        run.journal = True
        run.checkpoints.every.seconds = 0
        self.create("r", run)
        filler = os.path.join(self.state, "filler")
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        with grpc.insecure_channel(self.address) as channel:
            stream = Stream(training_services.TrainingServiceStub(channel), join(run="runs/r"))
            self.addCleanup(stream.cancel)
            stream.next()
            answered = 0
            # Of the last page of the log there may be some room.
            for sequence in range(1, 100):
                stream.send(push(header(sequence, base_step=sequence - 1), api.ParameterChunk(data=struct.pack("<2f", 1, 2))))
                waits = until("an answer, or that it waits", lambda: self.condition("r", sequence))
                if waits == run_pb2.RUN_CONDITION_WAITING_FOR_DISK:
                    break
                self.assertEqual(stream.next().push_result.outcome, api.PUSH_OUTCOME_APPLIED)
                answered = sequence
            self.assertLess(answered, 99, "the disk was not full")
            os.remove(filler)
            self.assertEqual(stream.next().push_result.sequence, answered + 1)
        self.kill_server()
        self.serve()
        self.assertEqual(self.recovered("r").progress.step, answered + 1)

    def condition(self, run_id, step):
        """WAITING_FOR_DISK, or any other one when the step is made."""
        progress = self.describe(run_id).progress
        full = progress.condition == run_pb2.RUN_CONDITION_WAITING_FOR_DISK
        return progress.condition if full or progress.step >= step else None


if __name__ == "__main__":
    if "--kills" in sys.argv:
        at = sys.argv.index("--kills")
        KILLS = int(sys.argv[at + 1])
        del sys.argv[at:at + 2]
    unittest.main()

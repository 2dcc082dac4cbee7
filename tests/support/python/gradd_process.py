"""A real gradd on loopback for tests in Python, its stubs, and the programs beside it.

ctest puts the stubs on PYTHONPATH and the programs' directory into GRADD_BIN.
"""
import os
import subprocess
import tempfile
import time
import unittest
import urllib.request

import grpc
from gradd.v1 import run_pb2
from gradd.v1 import run_service_pb2 as run_api
from gradd.v1 import run_service_pb2_grpc as run_services
from gradd.v1 import training_service_pb2_grpc as training_services

BIN = os.environ["GRADD_BIN"]
SANITIZED = bool(os.environ.get("GRADD_SANITIZE"))  # Then memory is not the programs' own.
TIMEOUT_SECONDS = 60


def program(name):
    return os.path.join(BIN, name)


def until(what, condition, seconds=TIMEOUT_SECONDS):
    """Asks again and again, because another process has to get there; never for long."""
    end = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {seconds} s")
        time.sleep(0.01)
    return result


class ServerTest(unittest.TestCase):
    """Each test has a server of its own, which must be alive at its end."""

    OPTIONS = ()

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        ready = os.path.join(self.directory, "ready")
        self.attach(self.start("gradd", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0",
                               "--ready-file", ready, *self.OPTIONS), ready)

    def attach(self, server, ready):
        """To a gradd that was started, and says where it is in a file."""
        self.server = server

        def served():
            self.assertIsNone(self.server.poll(), "gradd ended before it was ready")
            return os.path.exists(ready)
        until("gradd's start", served)
        with open(ready, encoding="utf-8") as file:
            addresses = dict(line.strip().split("=", 1) for line in file)
        self.grpc, self.http = addresses["grpc"], addresses["http"]
        self.channel = grpc.insecure_channel(self.grpc)
        self.addCleanup(self.channel.close)
        self.runs = run_services.RunServiceStub(self.channel)
        self.training = training_services.TrainingServiceStub(self.channel)

    def tearDown(self):
        if self.server.returncode is None:  # No test has waited for its end.
            self.assertIsNone(self.server.poll(), "gradd has ended")
            self.assertEqual(self.get("/healthz"), "ok\n")

    def start(self, name, *arguments, **options):
        """Starts a program, which is killed at the end of the test at the latest."""
        process = subprocess.Popen([program(name), *arguments], stdin=subprocess.DEVNULL, **options)

        def end():
            if process.poll() is None:
                process.kill()
            process.wait()
        self.addCleanup(end)
        return process

    def run_program(self, name, *arguments):
        return subprocess.run(
            [program(name), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_SECONDS, check=True).stdout

    def get(self, page):
        with urllib.request.urlopen(f"http://{self.http}{page}", timeout=TIMEOUT_SECONDS) as answer:
            return answer.read().decode()

    def resident_bytes(self):
        with open(f"/proc/{self.server.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def peak_resident_bytes(self):
        with open(f"/proc/{self.server.pid}/status", encoding="ascii") as file:
            return 1024 * next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))

    def create(self, run_id, run):
        return self.runs.CreateRun(run_api.CreateRunRequest(run_id=run_id, run=run),
                                   timeout=TIMEOUT_SECONDS)

    def describe(self, run_id):
        return self.runs.GetRun(run_api.GetRunRequest(name=f"runs/{run_id}"),
                                timeout=TIMEOUT_SECONDS)


def spec(elements=1, workers=1):
    """Plain gradient descent on one tensor of zeros with learning rate 1."""
    run = run_pb2.Run()
    run.layout.tensors.add(name="w", shape=[elements])
    run.optimizer.sgd.SetInParent()
    run.schedule.learning_rate = 1
    run.policy.synchronous.workers = workers
    return run

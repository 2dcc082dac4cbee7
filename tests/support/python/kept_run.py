"""A server with a state directory: its runs outlive it."""
import json
import os

import grpc
from gradd.v1 import run_service_pb2_grpc as run_services
from gradd.v1 import training_service_pb2_grpc as training_services
from gradd_process import until
from paused_run import PausedRunTest


class KeptRunTest(PausedRunTest):
    def setUp(self):
        self.state = None
        super().setUp()

    @property
    def OPTIONS(self):  # pylint: disable=invalid-name
        self.state = os.path.join(self.directory, "state")
        return ("--state-dir", self.state)

    def gradctl(self, *arguments):
        return self.run_program("gradctl", "--server", self.grpc, *arguments)

    def kill_and_start_again(self):
        self.server.kill()
        self.server.wait()
        self.channel.close()
        ready = os.path.join(self.directory, "ready-again")
        if os.path.exists(ready):  # Of the one before.
            os.unlink(ready)
        self.server = self.start("gradd", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0",
                                 "--ready-file", ready, "--state-dir", self.state)
        until("gradd's start", lambda: os.path.exists(ready))
        with open(ready, encoding="utf-8") as file:
            addresses = dict(line.strip().split("=", 1) for line in file)
        self.grpc, self.http = addresses["grpc"], addresses["http"]
        self.channel = grpc.insecure_channel(self.grpc)
        self.addCleanup(self.channel.close)
        self.runs = run_services.RunServiceStub(self.channel)
        self.training = training_services.TrainingServiceStub(self.channel)

    def recovered(self, run):
        def found():
            try:
                return self.describe(run)
            except grpc.RpcError as error:
                self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE, error.details())
                return None
        return until("its recovery", found)

    def checkpoint(self, run):
        return int(json.loads(self.gradctl("--json", "checkpoint", run))["step"])

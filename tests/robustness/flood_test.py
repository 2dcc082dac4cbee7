"""Many peers, and peers that do nothing: others are served, and afterwards all is as before."""
import os
import resource
import socket

import grpc
import raw_http2
from gradd.v1 import run_service_pb2_grpc as run_services
from gradd.v1 import run_service_pb2 as run_api
from gradd_process import SANITIZED, ServerTest, TIMEOUT_SECONDS, spec, until


def connect(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=TIMEOUT_SECONDS)


class FloodTest(ServerTest):
    OPTIONS = ("--log-level", "warn")
    DESCRIPTORS = None  # Of the server; None for what there is.

    def start(self, name, *arguments, **options):
        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.DESCRIPTORS,) * 2)
        if self.DESCRIPTORS:
            options["preexec_fn"] = limit
        return super().start(name, *arguments, **options)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.server.pid}/fd"))

    def silent_connections(self, count):
        """Those of `count` silent connections that the server keeps."""
        connections = [connect(self.grpc) for _ in range(count)]
        for connection in connections:
            self.addCleanup(connection.close)
        self.assertEqual(self.get("/healthz"), "ok\n")  # It answers after all it had to do before.

        def closed(connection):
            connection.setblocking(False)
            try:
                return not connection.recv(1)
            except BlockingIOError:
                return False
            except ConnectionError:
                return True
        return connections, lambda: [c for c in connections if not closed(c)]

    def list_anew(self):
        """ListRuns by a connection of its own."""
        with grpc.insecure_channel(self.grpc, (("grpc.use_local_subchannel_pool", 1),)) as channel:
            return run_services.RunServiceStub(channel).ListRuns(
                run_api.ListRunsRequest(), timeout=TIMEOUT_SECONDS, wait_for_ready=True)


class ConnectionLimitTest(FloodTest):
    OPTIONS = ("--log-level", "error", "--max-connections", "40")

    def test_one_peer_has_half_of_the_connections_and_gets_them_back(self):
        self.create("r", spec())  # By a connection that stays.
        connections, kept = self.silent_connections(100)
        until("refusals", lambda: len(kept()) <= 19)
        self.assertEqual(len(kept()), 19)
        self.describe("r")
        for connection in connections:
            connection.close()
        self.list_anew()
        self.run_program("gradd", "--probe", self.grpc)


class DescriptorsTest(FloodTest):
    OPTIONS = ("--log-level", "error", "--max-connections", "10000")
    DESCRIPTORS = 150

    def test_a_server_without_descriptors_can_be_reached_again(self):
        self.create("r", spec())
        connections, kept = self.silent_connections(300)
        until("the last descriptor", lambda: len(kept()) < 150)
        self.describe("r")
        for connection in connections:
            connection.close()
        self.list_anew()
        until("descriptors", lambda: self.descriptors() < 100)
        self.assertEqual(self.get("/healthz"), "ok\n")
        self.run_program("gradd", "--probe", self.grpc)

"""A server that is stopped for a while, as with SIGSTOP or a suspended machine."""
import os
import signal
import time

from gradd.v1 import training_service_pb2 as api
from gradd_process import ServerTest, spec, until
from train_stream import Stream, header, join, push

LEASE_SECONDS = 4


class SleepTest(ServerTest):
    def start(self, name, *arguments, **options):
        self.log_path = os.path.join(self.directory, f"{name}.log")
        with open(self.log_path, "w", encoding="utf-8") as log:
            return super().start(name, *arguments, **options, stderr=log)

    def slept(self):
        with open(self.log_path, encoding="utf-8") as log:
            return "warning the server stood still for " in log.read()

    def test_leases_do_not_end_while_the_server_could_not_hear(self):
        run = spec()
        run.lease_duration.seconds = LEASE_SECONDS
        self.create("r", run)
        stream = Stream(self.training, join())
        self.addCleanup(stream.cancel)
        self.assertTrue(stream.next().HasField("welcome"))
        os.kill(self.server.pid, signal.SIGSTOP)
        # Nothing but time will show it: the lease has to end by the clock on the wall.
        time.sleep(LEASE_SECONDS + 1)
        os.kill(self.server.pid, signal.SIGCONT)
        until("the server to see that it slept", self.slept)
        piece = api.ParameterChunk(data=bytes(4))
        stream.send(push(header(), piece))
        self.assertEqual(stream.next().push_result.outcome, api.PUSH_OUTCOME_APPLIED)

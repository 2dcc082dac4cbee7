"""Timelines, uids and aborts as they are on the wire, and a worker of generated stubs that is rolled back."""
import concurrent.futures
import os
import struct
import subprocess
import sys
import unittest

import grpc
from gradd.v1 import run_pb2
from gradd.v1 import training_service_pb2 as api
from gradd.v1 import training_service_pb2_grpc as services
from gradd_process import ServerTest, TIMEOUT_SECONDS
from train_stream import Stream, header, join, push

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "train.py")


def whole(*values):
    return api.ParameterChunk(data=struct.pack(f"<{len(values)}f", *values))


class TimelineTest(ServerTest):
    def setUp(self):
        super().setUp()
        run = run_pb2.Run()
        run.layout.tensors.add(name="w", shape=[2])
        run.optimizer.sgd.SetInParent()
        run.schedule.learning_rate = 1
        run.policy.synchronous.workers = 1
        self.run = self.create("r", run)

    def test_a_push_of_another_timeline_is_rolled_back_with_the_present_parameters(self):
        stream = Stream(self.training, join(sends_timelines=True))
        welcome = stream.next().welcome
        self.assertEqual(welcome.timeline, 1)
        self.assertEqual(welcome.run_uid, self.run.uid)
        self.assertRegex(self.run.uid, "^[0-9a-f]{32}$")
        head = header()
        head.timeline = 7
        stream.send(push(head, whole(1, 1), want_parameters=True))
        result = stream.next().push_result
        self.assertEqual(result.outcome, api.PUSH_OUTCOME_ROLLED_BACK)
        self.assertEqual(result.last_sequence, 0)
        parameters = stream.next().parameters
        self.assertEqual((parameters.timeline, parameters.run_uid), (1, self.run.uid))
        head.timeline = parameters.timeline
        head.run_uid = parameters.run_uid
        stream.send(push(head, whole(1, 1)))
        self.assertEqual(stream.next().push_result.outcome, api.PUSH_OUTCOME_APPLIED)
        self.assertEqual(self.describe("r").timeline, 1)
        stream.cancel()

    def test_a_push_for_another_run_of_that_name_is_refused(self):
        stream = Stream(self.training, join())
        stream.next()
        head = header()
        head.run_uid = "0" * 32
        stream.send(push(head, whole(1, 1)))
        result = stream.next().push_result
        self.assertEqual(result.reason, "RUN_UID_DIFFERS")
        self.assertIn("0" * 32, result.message)
        self.assertIn(self.run.uid, result.message)
        stream.cancel()

    def test_an_abort_ends_a_push(self):
        stream = Stream(self.training, join())
        stream.next()
        abort = api.TrainRequest(abort_push=api.AbortPush(sequence=1))
        stream.send(abort)  # Of nothing.
        stream.send(push(header(), whole(9), commit=False), abort, push(header(), whole(1, 1)))
        self.assertEqual(stream.next().push_result.outcome, api.PUSH_OUTCOME_ABORTED)
        result = stream.next().push_result
        self.assertEqual((result.sequence, result.outcome), (1, api.PUSH_OUTCOME_APPLIED))
        stream.send(api.TrainRequest(abort_push=api.AbortPush()))
        self.assertEqual(stream.error()[:2],
                         (grpc.StatusCode.INVALID_ARGUMENT, "SEQUENCE_INVALID"))


class RollingBack(services.TrainingServiceServicer):
    """Rolls the first push back, and takes the second one, which should be of the new timeline."""

    def __init__(self):
        self.headers = []

    def Train(self, requests, context):
        next(requests)
        yield api.TrainResponse(welcome=api.Welcome(timeline=1))
        yield self.parameters(1, 0, 0, 0, 0)
        for request in requests:
            if request.HasField("leave"):
                return
            self.headers.append(request.push.header)
            result = api.PushResult(sequence=request.push.header.sequence, parameters_follow=True)
            if len(self.headers) == 1:
                result.outcome = api.PUSH_OUTCOME_ROLLED_BACK
                result.last_sequence = 0
                yield api.TrainResponse(push_result=result)
                yield self.parameters(2, 0, 0, 0, 0)
            else:
                result.outcome = api.PUSH_OUTCOME_APPLIED
                yield api.TrainResponse(push_result=result)
                yield self.parameters(2, 1, 3, -2, 0.5)

    @staticmethod
    def parameters(timeline, step, *values):
        chunk = whole(*values)
        chunk.timeline = timeline
        chunk.step = step
        return api.TrainResponse(parameters=chunk)


class RolledBackScriptTest(unittest.TestCase):
    def test_a_worker_of_generated_stubs_computes_anew(self):
        server = grpc.server(concurrent.futures.ThreadPoolExecutor())
        service = RollingBack()
        services.add_TrainingServiceServicer_to_server(service, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            script = subprocess.run(
                [sys.executable, SCRIPT, f"127.0.0.1:{port}", "runs/r"], stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_SECONDS, check=False)
        finally:
            server.stop(None).wait()
        self.assertEqual(script.returncode, 0, script.stderr)
        self.assertIn("after 1 steps", script.stdout)
        self.assertEqual([(head.sequence, head.timeline) for head in service.headers],
                         [(1, 1), (1, 2)])

"""What operators find in gradd's log."""
import os
import queue
import struct
import subprocess

from gradd.v1 import run_service_pb2 as run_api
from gradd.v1 import training_service_pb2 as api
from gradd_process import ServerTest, TIMEOUT_SECONDS, spec, until
from train_stream import Stream, header, join, push


class LogTest(ServerTest):
    def start(self, name, *arguments, **options):
        self.log_path = os.path.join(self.directory, f"{name}.log")
        with open(self.log_path, "w", encoding="utf-8") as log:
            return super().start(name, *arguments, **options, stderr=log)

    def logged(self, text):
        def found():
            with open(self.log_path, encoding="utf-8") as log:
                return text in log.read()
        until(f'"{text}" in the log', found)

    def test_changes_of_runs_say_who_and_what(self):
        self.create("r", spec(3))
        self.logged("info run created: run=r by=ipv4:127.0.0.1:")
        update = run_api.UpdateRunRequest(author="ada")
        update.run.name = "runs/r"
        update.run.schedule.learning_rate = 0.5
        update.update_mask.paths.append("schedule.learning_rate")
        self.runs.UpdateRun(update, timeout=TIMEOUT_SECONDS)
        self.logged("info run updated: run=r by=ada fields=schedule.learning_rate")
        self.runs.PauseRun(run_api.PauseRunRequest(name="runs/r", author="ada"))
        self.logged("info run paused: run=r by=ada")
        self.runs.ResumeRun(run_api.ResumeRunRequest(name="runs/r", author="ada"))
        self.logged("info run resumed: run=r by=ada")
        self.runs.DeleteRun(run_api.DeleteRunRequest(name="runs/r"))
        self.logged("info run deleted: run=r by=ipv4:127.0.0.1:")

    def test_workers_come_leave_and_are_lost(self):
        run = spec(3)
        run.lease_duration.seconds = 1
        self.create("r", run)
        for worker in ("polite", "silent"):
            requests = queue.Queue()
            responses = self.training.Train(iter(requests.get, None))
            self.addCleanup(responses.cancel)
            self.addCleanup(requests.put, None)
            requests.put(api.TrainRequest(join=api.Join(run="runs/r", worker=worker)))
            self.logged(f"info worker joined: run=r worker={worker} from=ipv4:127.0.0.1:")
            if worker == "polite":
                requests.put(api.TrainRequest(leave=api.Leave()))
                self.logged("info worker left: run=r worker=polite")
        self.logged('info session lost: run=r worker=silent reason="no sign of worker \\"silent\\" '
                    'for its lease of 1s"')
        self.logged('warning worker lost: run=r worker=silent reason="its lease of 1s ended"')
        self.logged("warning run has no workers: run=r ")

    def test_who_did_not_say_so_has_not_left(self):
        run = spec(workers=2)
        run.layout.ClearField("tensors")
        for name in "xy":
            run.layout.tensors.add(name=name)
        run.lease_duration.seconds = 1
        self.create("r", run)
        # It waits for the other worker of the run, which never comes.
        worker = ServerTest.start(
            self, "gradworker", "--server", self.grpc, "--run", "r", "--workers", "2",
            "--model", "landscape", stderr=subprocess.DEVNULL)
        self.logged("info worker joined: run=r worker=w0 from=ipv4:127.0.0.1:")
        worker.kill()
        self.logged('info session lost: run=r worker=w0 reason="its connection is gone"')
        self.logged('warning worker lost: run=r worker=w0 reason="its lease of 1s ended"')

        stream = Stream(self.training, join(worker="quiet"))
        self.addCleanup(stream.cancel)
        self.assertTrue(stream.next().HasField("welcome"))
        stream.half_close()
        self.logged('info session lost: run=r worker=quiet reason="it ended its stream and did not leave"')
        with open(self.log_path, encoding="utf-8") as log:
            self.assertNotIn("worker left", log.read())

    def test_a_push_that_is_refused_says_whose_it_is_and_why(self):
        self.create("r", spec(3))
        requests = queue.Queue()
        responses = self.training.Train(iter(requests.get, None))
        self.addCleanup(responses.cancel)
        self.addCleanup(requests.put, None)
        requests.put(api.TrainRequest(join=api.Join(run="runs/r", worker="w")))
        header = api.PushHeader(sequence=1, examples=1, loss=float("nan"))
        requests.put(api.TrainRequest(push=api.Push(header=header, commit=api.PushCommit())))
        self.logged("warning push rejected: run=r worker=w reason=NON_FINITE message=")
        self.logged('warning run diverged: run=r reason="push 1 from w was refused at step 0: ')

    def test_values_beyond_float16_are_told_once_and_counted(self):
        self.create("r", spec(3))
        stream = Stream(self.training, join(parameter_encodings=[api.ENCODING_FLOAT16]))
        self.addCleanup(stream.cancel)
        self.assertEqual(stream.next().welcome.parameter_encoding, api.ENCODING_FLOAT16)
        # 1e6 has no place in float16: a worker sends the largest number that has.
        gradient = [min(value, 65504.0) for value in (1e6, 0.1, 1e6)]
        piece = api.ParameterChunk(encoding=api.ENCODING_FLOAT16, data=struct.pack("<3e", *gradient))
        for step in range(3):
            stream.send(push(header(step + 1, step), piece, want_parameters=True))
            self.assertEqual(stream.next().push_result.outcome, api.PUSH_OUTCOME_APPLIED)
            parameters = stream.next().parameters
            # After the first step they fit.
            encoding, code = ((api.ENCODING_FLOAT16, "e") if step == 0 else
                              (api.ENCODING_FLOAT32, "f"))
            self.assertEqual(parameters.encoding, encoding)
            self.assertEqual(struct.unpack(f"<3{code}", parameters.data)[0], -65504.0 * (step + 1))
        run = self.describe("r")
        for counts in (run.progress, run.workers[0]):
            self.assertEqual(counts.saturated_values, 6)
            self.assertEqual(counts.widened_chunks, 2)
        page = self.run_program("gradctl", "--server", self.grpc, "show", "r")
        self.assertIn("  beyond float16  6 pushed values, taken as 65504 or -65504; "
                      "2 chunks of parameters, sent as float32\n", page)
        self.assertIn('gradd_run_saturated_values_total{run="r"} 6\n', self.get("/metrics"))
        self.assertIn('gradd_run_widened_chunks_total{run="r"} 2\n', self.get("/metrics"))
        for event in ("push", "parameters"):
            line = f"warning {event} beyond float16: run=r worker=w "
            self.logged(line)
            with open(self.log_path, encoding="utf-8") as log:
                self.assertEqual(log.read().count(line), 1)

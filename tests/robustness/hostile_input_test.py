"""Whatever is sent: a clear error, nothing changed, the server up.

The tests speak to a real gradd with the generated stubs, or with bare sockets.
"""
import gzip
import itertools
import random
import re
import socket
import struct
import threading
import zlib

import grpc
import raw_http2
from gradd.v1 import layout_pb2
from gradd.v1 import run_pb2
from gradd.v1 import run_service_pb2 as run_api
from gradd.v1 import training_service_pb2 as api
from gradd.v1 import training_service_pb2_grpc as training_services
from gradd_process import SANITIZED, ServerTest, TIMEOUT_SECONDS, spec, until
from train_stream import Stream, header, join, push

ELEMENTS = 10


def chunk(offset=0, values=(1.0,) * ELEMENTS):
    return api.ParameterChunk(offset=offset, data=struct.pack(f"<{len(values)}f", *values))


class HostileInputTest(ServerTest):
    OPTIONS = ("--max-parameters-per-run", "100000000", "--log-level", "warn")

    def setUp(self):
        super().setUp()
        run = spec(ELEMENTS)
        run.layout.tensors[0].shape[:] = [2, 5]
        run.lease_duration.seconds = 1
        self.create("r", run)
        self.parameters = self.pull()

    def tearDown(self):
        # Nothing has changed, and the run still takes an honest push.
        self.assertEqual(self.pull(), self.parameters)
        progress = self.describe("r").progress
        stream = Stream(self.training, join("honest"))
        sequence = stream.next().welcome.last_sequence + 1
        stream.send(push(header(sequence, progress.step), chunk()))
        result = stream.next().push_result
        while not result.sequence:  # An event.
            result = stream.next().push_result
        self.assertEqual(result.outcome, api.PUSH_OUTCOME_APPLIED, result.message)
        stream.cancel()
        super().tearDown()

    def pull(self):
        return [(c.step, c.data) for c in self.training.Pull(
            api.PullRequest(run="runs/r"), timeout=TIMEOUT_SECONDS)]

    def stream(self, *requests):
        stream = Stream(self.training, *requests)
        self.addCleanup(stream.cancel)
        return stream

    def refused_join(self, request):
        return self.stream(request).error()

    def refused_push(self, *requests):
        """The reason and message with which a push is rejected; the session must go on."""
        stream = self.stream(join())
        stream.next()
        stream.send(*requests)
        result = stream.next().push_result
        self.assertEqual(result.outcome, api.PUSH_OUTCOME_REJECTED)
        again = self.stream(join("x"))
        self.assertEqual(again.next().welcome.last_sequence, 0)
        again.send(api.TrainRequest(leave=api.Leave()))
        self.assertEqual(again.error()[0], grpc.StatusCode.OK)
        stream.send(api.TrainRequest(leave=api.Leave()))
        self.assertEqual(stream.error()[0], grpc.StatusCode.OK)
        return result.reason, result.message

    # ---- Join ----

    def test_a_join_with_another_layout_says_which_tensor_differs_and_how(self):
        for shape, expected in (([5, 2], 'tensor 0 "w" has shape [5, 2], the run has [2, 5]'),
                                ([2, 5, 1], 'tensor 0 "w" has shape [2, 5, 1], the run has [2, 5]')):
            layout = layout_pb2.Layout()
            layout.tensors.add(name="w", shape=shape)
            code, reason, message = self.refused_join(join(layout=layout))
            self.assertEqual((code, reason),
                             (grpc.StatusCode.INVALID_ARGUMENT, "LAYOUT_DIFFERS"))
            self.assertIn(expected, message)
        layout.tensors.add(name="bias", shape=[1])
        self.assertEqual(self.refused_join(join(layout=layout))[1], "LAYOUT_DIFFERS")

    def test_an_unknown_run_is_not_found(self):
        for run in ("runs/none", "none", "", "runs/", "runs/../r", "x" * 100_000):
            code, _, message = self.refused_join(join(run=run))
            self.assertIn(code, (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT), run)
            self.assertLess(len(message), 1000)
        self.assertIn('"none"', self.refused_join(join(run="runs/none"))[2])

    def test_bad_worker_ids_are_refused(self):
        for worker in ("", "a b", "x" * 1000, "line\nbreak", "snow\u2603man"):
            code, reason, message = self.refused_join(join(worker))
            self.assertEqual((code, reason),
                             (grpc.StatusCode.INVALID_ARGUMENT, "WORKER_ID_INVALID"), worker)
            self.assertLess(len(message), 1000)

    def test_a_second_worker_with_an_id_in_use_is_refused(self):
        first = self.stream(join("same"))
        first.next()
        code, reason, message = self.refused_join(join("same"))
        self.assertEqual((code, reason), (grpc.StatusCode.ALREADY_EXISTS, "WORKER_ID_IN_USE"))
        self.assertIn('"same"', message)
        first.send(api.TrainRequest(leave=api.Leave()))
        self.assertEqual(first.error()[0], grpc.StatusCode.OK)

    def test_a_stream_must_begin_with_a_join_and_have_one(self):
        for requests in ([push(header(), chunk())], [api.TrainRequest(leave=api.Leave())],
                         [api.TrainRequest(heartbeat=api.Heartbeat())], [api.TrainRequest()],
                         [join(), join()], [join(), api.TrainRequest()]):
            code, reason, _ = self.stream(*requests).error()
            self.assertIn(code,
                          (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT))
            self.assertIn(reason, ("REQUEST_OUT_OF_ORDER", "REQUEST_EMPTY"))

    # ---- Push ----

    def test_chunks_out_of_range_are_rejected(self):
        for offset, count in ((0, 11), (1, 10), (10, 1), (-1, 1), (2**62, 1), (-2**63, 1), (3, 9)):
            reason, message = self.refused_push(push(header(), chunk(offset, (1.0,) * count)))
            self.assertEqual(reason, "CHUNK_OUT_OF_RANGE", (offset, count))
            self.assertIn(f"offset {offset}", message)

    def test_chunks_that_are_no_whole_floats_are_rejected(self):
        for size in (1, 3, 39, 41):
            self.refused_push(push(header(), api.ParameterChunk(data=b"\0" * size)))

    def test_overlapping_chunks_are_rejected(self):
        for second in ((0, 5), (4, 6), (2, 1)):
            reason, message = self.refused_push(
                push(header(), chunk(0, (1.0,) * 5), commit=False),
                push(None, chunk(second[0], (1.0,) * second[1])))
            self.assertEqual(reason, "CHUNK_OVERLAP")
            self.assertIn(f"elements {second[0]} to {sum(second) - 1} overlaps", message)

    def test_missing_chunks_are_rejected(self):
        for piece in (None, chunk(0, (1.0,) * 9), chunk(1, (1.0,) * 9), chunk(0, ())):
            reason, message = self.refused_push(push(header(), piece))
            self.assertIn(reason, ("CHUNK_MISSING", "CHUNK_SIZE"), message)
        reason, message = self.refused_push(
            push(header(), chunk(0, (1.0,) * 4), commit=False), push(None, chunk(6, (1.0,) * 4)))
        self.assertEqual(reason, "CHUNK_MISSING")

    def test_gradients_and_losses_that_are_not_finite_are_rejected(self):
        for value in (float("nan"), float("inf"), -float("inf")):
            values = [1.0] * ELEMENTS
            values[7] = value
            reason, message = self.refused_push(push(header(), chunk(0, values)))
            self.assertEqual(reason, "NON_FINITE")
            self.assertIn("element 7", message)
            reason, message = self.refused_push(push(header(loss=value), chunk()))
            self.assertEqual(reason, "NON_FINITE")
            self.assertIn("loss", message)

    def test_a_signalling_nan_and_the_largest_float_are_told_apart(self):
        data = bytearray(chunk().data)
        data[0:4] = struct.pack("<I", 0x7F800001)
        self.assertEqual(
            self.refused_push(push(header(), api.ParameterChunk(data=bytes(data))))[0], "NON_FINITE")

    def test_sequences_that_skip_or_are_nonsense_are_rejected(self):
        for sequence, expected in ((2, "SEQUENCE_SKIPS"), (2**62, "SEQUENCE_SKIPS"),
                                   (0, "SEQUENCE_INVALID"), (-1, "SEQUENCE_INVALID")):
            reason, message = self.refused_push(push(header(sequence), chunk()))
            self.assertEqual(reason, expected)
            self.assertIn(str(sequence), message)

    def test_a_sequence_that_goes_back_is_a_duplicate_and_changes_nothing(self):
        stream = self.stream(join())
        stream.next()
        for sequence in (1, 2):
            stream.send(push(header(sequence, sequence - 1), chunk()))
            self.assertEqual(stream.next().push_result.outcome, api.PUSH_OUTCOME_APPLIED)
        self.parameters = self.pull()
        for sequence in (1, 2, 1):
            stream.send(push(header(sequence, 2), chunk()))
            self.assertEqual(stream.next().push_result.outcome, api.PUSH_OUTCOME_DUPLICATE)
        stream.send(api.TrainRequest(leave=api.Leave()))
        self.assertEqual(stream.error()[0], grpc.StatusCode.OK)

    def test_a_base_step_from_the_future_is_told_so_and_a_negative_one_refused(self):
        for base_step in (1, 2**62):
            stream = self.stream(join())
            stream.next()
            stream.send(push(header(base_step=base_step), chunk()))
            result = stream.next().push_result
            self.assertEqual(result.outcome, api.PUSH_OUTCOME_ROLLED_BACK)
            stream.send(api.TrainRequest(leave=api.Leave()))
            self.assertEqual(stream.error()[0], grpc.StatusCode.OK)
        reason, message = self.refused_push(push(header(base_step=-1), chunk()))
        self.assertEqual(reason, "BASE_STEP_INVALID")
        self.assertIn("-1", message)

    def test_example_counts_out_of_range_are_rejected(self):
        for examples in (0, -5, 2**60):
            reason, message = self.refused_push(push(header(examples=examples), chunk()))
            self.assertEqual(reason, "EXAMPLES_OUT_OF_RANGE")
            self.assertIn(str(examples), message)

    def test_unknown_encodings_are_rejected(self):
        piece = chunk()
        for encoding in (99, -1):
            piece.encoding = encoding
            reason, message = self.refused_push(push(header(), piece))
            self.assertEqual(reason, "ENCODING_UNSUPPORTED")
            self.assertIn(f"({encoding})", message)

    def refused_chunk(self, encoding, data, offset=0, element_count=0):
        return self.refused_push(push(header(), api.ParameterChunk(
            offset=offset, encoding=encoding, element_count=element_count, data=data)))

    def test_encoded_chunks_of_a_wrong_length_are_rejected(self):
        for encoding in (api.ENCODING_BFLOAT16, api.ENCODING_FLOAT16):
            for size in (0, 1, 19, 21):
                self.assertEqual(self.refused_chunk(encoding, b"\0" * size)[0], "CHUNK_SIZE")
            self.assertEqual(self.refused_chunk(encoding, b"\0" * 22)[0], "CHUNK_OUT_OF_RANGE")
        for size in (0, 1, 4):
            self.assertEqual(self.refused_chunk(api.ENCODING_INT8, b"\0" * size)[0], "CHUNK_SIZE")
        for size in (4, 9, 88):
            self.assertEqual(
                self.refused_chunk(api.ENCODING_SPARSE, b"\0" * size, element_count=10)[0],
                "CHUNK_SIZE")

    def test_int8_that_cuts_a_group_is_rejected(self):
        self.assertEqual(
            self.refused_chunk(api.ENCODING_INT8, b"\0" * 9, offset=5)[0], "CHUNK_MISALIGNED")
        self.assertEqual(self.refused_chunk(api.ENCODING_INT8, b"\0" * 9)[0], "CHUNK_MISALIGNED")

    def test_scales_that_are_not_finite_or_negative_are_rejected(self):
        for scale in (float("nan"), float("inf"), -float("inf"), -1.0):
            data = struct.pack("<f10b", scale, *range(10))
            reason, message = self.refused_chunk(api.ENCODING_INT8, data)
            self.assertEqual(reason, "SCALE_INVALID" if scale == -1 else "NON_FINITE")
            self.assertIn("group at element 0", message)
        data = struct.pack("<f10b", 3e38, *range(10))
        self.assertEqual(self.refused_chunk(api.ENCODING_INT8, data)[0], "NON_FINITE")

    def test_encoded_values_that_are_not_finite_are_rejected(self):
        for value in (float("nan"), float("inf"), -float("inf")):
            halves = struct.pack("<10e", *(1.0,) * 6, value, *(1.0,) * 3)
            reason, message = self.refused_chunk(api.ENCODING_FLOAT16, halves)
            self.assertEqual(reason, "NON_FINITE")
            self.assertIn("element 6", message)
            upper = b"".join(struct.pack("<f", v)[2:] for v in (1.0,) * 9 + (value,))
            self.assertEqual(self.refused_chunk(api.ENCODING_BFLOAT16, upper)[0], "NON_FINITE")
            pairs = struct.pack("<2I2f", 1, 8, 1.0, value)
            reason, message = self.refused_chunk(api.ENCODING_SPARSE, pairs, element_count=10)
            self.assertEqual(reason, "NON_FINITE")
            self.assertIn("element 8", message)

    def test_indices_out_of_range_repeated_and_not_ascending_are_rejected(self):
        for indices, expected in (((0, 10), "INDEX_OUT_OF_RANGE"), ((2**32 - 1,), "INDEX_OUT_OF_RANGE"),
                                  ((3, 3), "INDEX_REPEATED"), ((0, 4, 2), "INDEX_NOT_ASCENDING")):
            data = struct.pack(f"<{len(indices)}I{len(indices)}f", *indices, *(1.0,) * len(indices))
            reason, message = self.refused_chunk(api.ENCODING_SPARSE, data, element_count=10)
            self.assertEqual(reason, expected, indices)
            self.assertIn(f"index {indices[-1]}", message)

    def test_sparse_chunks_that_claim_too_much_are_rejected(self):
        for count, expected in ((0, "CHUNK_SIZE"), (-1, "CHUNK_SIZE"), (2**32 + 1, "CHUNK_SIZE"),
                                (2**63 - 1, "CHUNK_SIZE"), (2**32, "CHUNK_OUT_OF_RANGE"),
                                (11, "CHUNK_OUT_OF_RANGE")):
            self.assertEqual(
                self.refused_chunk(api.ENCODING_SPARSE, b"", element_count=count)[0], expected)

    def test_rows_out_of_range_repeated_and_not_ascending_are_rejected(self):
        for rows, expected in (((0, 2), "ROW_OUT_OF_RANGE"), ((2**32 - 1,), "ROW_OUT_OF_RANGE"),
                               ((1, 1), "ROW_REPEATED"), ((1, 0), "ROW_NOT_ASCENDING")):
            data = struct.pack(f"<{len(rows)}I{5 * len(rows)}f", *rows, *(1.0,) * 5 * len(rows))
            reason, message = self.refused_chunk(api.ENCODING_ROWS, data, element_count=10)
            self.assertEqual(reason, expected, rows)
            self.assertIn(f"row {rows[-1]}", message)
        data = struct.pack("<I5f", 1, 0, 0, float("nan"), 0, 0)
        reason, message = self.refused_chunk(api.ENCODING_ROWS, data, element_count=10)
        self.assertEqual(reason, "NON_FINITE")
        self.assertIn("element 7", message)

    def test_chunks_of_rows_that_claim_too_much_are_rejected(self):
        for offset, count, size, expected in (
                (0, 0, 0, "CHUNK_MISALIGNED"), (0, -1, 0, "CHUNK_MISALIGNED"),
                (0, 15, 0, "CHUNK_MISALIGNED"), (0, 7, 0, "CHUNK_MISALIGNED"),
                (3, 5, 0, "CHUNK_MISALIGNED"), (5, 2**63 - 1, 0, "CHUNK_MISALIGNED"),
                (10, 5, 0, "CHUNK_OUT_OF_RANGE"), (-5, 5, 0, "CHUNK_OUT_OF_RANGE"),
                (2**63 - 1, 5, 0, "CHUNK_OUT_OF_RANGE"), (0, 10, 25, "CHUNK_SIZE"),
                (0, 5, 48, "CHUNK_SIZE"), (0, 10, 72, "CHUNK_SIZE")):
            self.assertEqual(
                self.refused_chunk(api.ENCODING_ROWS, b"\0" * size, offset, count)[0], expected)

    def test_joins_that_take_no_encoding_of_the_server_are_refused(self):
        for encodings in ([api.ENCODING_INT8], [api.ENCODING_SPARSE] * 100_000, [99, -7]):
            code, reason, message = self.refused_join(join(parameter_encodings=encodings))
            self.assertEqual((code, reason),
                             (grpc.StatusCode.INVALID_ARGUMENT, "ENCODING_UNSUPPORTED"))
            self.assertLess(len(message), 1000)

    def test_a_chunk_without_a_push_ends_the_stream(self):
        for request in (push(None, chunk()), push(None, chunk(), commit=False), push(None, None)):
            stream = self.stream(join(), request)
            self.assertEqual(stream.error()[:2],
                             (grpc.StatusCode.FAILED_PRECONDITION, "REQUEST_OUT_OF_ORDER"))

    def test_chunks_without_end_are_rejected_before_they_fill_the_memory(self):
        stream = self.stream(join())
        stream.next()
        stream.send(push(header(), chunk(0, (1.0,)), commit=False))
        for _ in range(5000):
            stream.send(push(None, api.ParameterChunk(offset=1), commit=False))
        stream.send(push(None, None))
        self.assertEqual(stream.next().push_result.outcome, api.PUSH_OUTCOME_REJECTED)
        stream.send(api.TrainRequest(leave=api.Leave()))
        self.assertEqual(stream.error()[0], grpc.StatusCode.OK)

    # ---- Disconnects ----

    def test_a_disconnect_after_any_message_leaves_no_trace(self):
        halves = [push(header(), chunk(0, (1.0,) * 5), commit=False),
                  push(None, chunk(5, (1.0,) * 4), commit=False)]
        messages = [join("gone", want_parameters=True), *halves,
                    api.TrainRequest(heartbeat=api.Heartbeat())]
        for count in range(len(messages) + 1):
            stream = Stream(self.training, *messages[:count])
            if count > 0:
                stream.next()
            stream.cancel()

            def free():
                self.assertEqual(self.describe("r").progress.step, 0)
                workers = {w.worker: w.state for w in self.describe("r").workers}
                return workers.get("gone", run_pb2.WORKER_STATE_DISCONNECTED) in (
                    run_pb2.WORKER_STATE_DISCONNECTED, run_pb2.WORKER_STATE_EXPIRED)
            until("the end of the session", free)
        self.assertIn("gradd_staged_bytes 0\n", self.get("/metrics"))

    def test_a_connection_cut_at_any_byte_leaves_no_trace(self):
        # What a client sends, recorded on its way to the server, then replayed in part.
        recorded = self.record()
        for length in itertools.chain(range(0, len(recorded), 7), [len(recorded) - 1]):
            with self.connect(self.grpc) as connection:
                connection.sendall(recorded[:length])
        progress = until("the end of the sessions", lambda: self.settled())
        self.assertEqual(progress.step, 0)

    def settled(self):
        run = self.describe("r")
        connected = [w for w in run.workers if w.state not in (
            run_pb2.WORKER_STATE_DISCONNECTED, run_pb2.WORKER_STATE_EXPIRED,
            run_pb2.WORKER_STATE_LEFT)]
        return run.progress if not connected else None

    def record(self):
        """The bytes of a session up to a push that is not complete."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = f"127.0.0.1:{listener.getsockname()[1]}"
            recorded = bytearray()

            def forward():
                client, _ = listener.accept()
                with client, self.connect(self.grpc) as server:
                    def back():
                        while data := server.recv(65536):
                            client.sendall(data)
                        client.close()
                    returning = threading.Thread(target=back, daemon=True)
                    returning.start()
                    try:
                        while data := client.recv(65536):
                            recorded.extend(data)
                            server.sendall(data)
                    except OSError:
                        pass
                    server.shutdown(socket.SHUT_RDWR)
                    returning.join()
            thread = threading.Thread(target=forward, daemon=True)
            thread.start()
            with grpc.insecure_channel(address) as channel:
                stream = Stream(training_services.TrainingServiceStub(channel), join("recorded"))
                stream.next()
                stream.send(push(header(), chunk(0, (1.0,) * 9), commit=False))
                until("the push", lambda: any(
                    w.state == run_pb2.WORKER_STATE_PUSHING for w in self.describe("r").workers))
                stream.cancel()
            thread.join()
        return bytes(recorded)

    # ---- Bytes ----

    def connect(self, address):
        host, port = address.rsplit(":", 1)
        connection = socket.create_connection((host, int(port)), timeout=TIMEOUT_SECONDS)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return connection

    def test_garbage_on_either_port_disturbs_nobody(self):
        generator = random.Random(1)
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        garbage = [b"", b"\0", b"\n" * 100, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                   b"GET /" + b"a" * 100_000, b"POST /metrics HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                   b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", preface, preface * 3,
                   preface + b"\xff" * 1000, preface + b"\0\0\0\4\0\0\0\0\0" + b"\xff\xff\xff" * 50]
        garbage += [generator.randbytes(generator.randrange(2000)) for _ in range(50)]
        garbage += [preface + generator.randbytes(generator.randrange(2000)) for _ in range(50)]
        for address in (self.grpc, self.http):
            for data in garbage:
                with self.connect(address) as connection:
                    try:
                        connection.sendall(data)
                        connection.settimeout(0.01)
                        connection.recv(1000)
                    except OSError:  # Cut off, or nothing to say.
                        pass

    def test_requests_of_the_control_plane_that_do_not_parse_say_so(self):
        for method in ("CreateRun", "GetRun", "ListRuns", "UpdateRun", "DeleteRun", "PauseRun",
                       "ResumeRun", "WatchRun", "RunTrials", "ReportEvaluation"):
            call = self.channel.unary_stream(f"/gradd.v1.RunService/{method}")
            with self.assertRaises(grpc.RpcError) as raised:
                list(call(b"\xff\xff", timeout=TIMEOUT_SECONDS))
            error = raised.exception
            self.assertEqual(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
            self.assertIn(f"no request of /gradd.v1.RunService/{method}", error.details())
            self.assertIn(("gradd-reason", "REQUEST_MALFORMED"), error.trailing_metadata())
        with self.assertRaises(grpc.RpcError) as raised:
            self.channel.unary_unary("/gradd.v1.RunService/None")(b"", timeout=TIMEOUT_SECONDS)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.UNIMPLEMENTED)

    def test_messages_that_are_no_protobuf_are_refused(self):
        generator = random.Random(2)
        valid = [m.SerializeToString() for m in (join(), push(header(), chunk()))]
        train = self.channel.stream_stream("/gradd.v1.TrainingService/Train")
        methods = [self.channel.unary_stream("/gradd.v1.TrainingService/Pull")] + [
            self.channel.unary_unary(f"/gradd.v1.RunService/{m}")
            for m in ("CreateRun", "GetRun", "ListRuns", "UpdateRun", "PauseRun", "ReportEvaluation")]
        allowed = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND,
                   grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INTERNAL,
                   grpc.StatusCode.ALREADY_EXISTS)
        for i in range(300):
            message = bytearray(generator.choice(valid))
            if i % 3 == 0:
                message = bytearray(generator.randbytes(generator.randrange(60)))
            else:
                for _ in range(generator.randrange(1, 4)):
                    message[generator.randrange(len(message))] = generator.randrange(256)
            try:
                list(train(iter([bytes(message)]), timeout=TIMEOUT_SECONDS))
            except grpc.RpcError as error:
                self.assertIn(error.code(), allowed, message)
            method = generator.choice(methods)
            try:
                answer = method(bytes(message), timeout=TIMEOUT_SECONDS)
                if not isinstance(answer, bytes):
                    list(answer)
            except grpc.RpcError as error:
                self.assertIn(error.code(), allowed, message)

    def test_a_message_beyond_the_limit_is_refused(self):
        stream = self.stream(join())
        stream.next()
        stream.send(push(header(), api.ParameterChunk(data=b"\0" * (3 << 20))))
        self.assertEqual(stream.error()[0], grpc.StatusCode.RESOURCE_EXHAUSTED)

    def test_compressed_requests_are_refused_without_unpacking_them(self):
        methods = [("gradd.v1.TrainingService/Train"), ("gradd.v1.TrainingService/Pull"),
                   ("gradd.v1.RunService/CreateRun"), ("gradd.v1.RunService/WatchRun")]
        for name, pack in (("gzip", gzip.compress), ("deflate", zlib.compress)):
            packed = pack(bytes(48 << 20))
            self.assertLess(len(packed), 60_000)
            for method in methods:
                with raw_http2.Connection(self.grpc) as connection:
                    connection.call(1, method, raw_http2.message(packed, compressed=True),
                                    more=(("grpc-encoding", name),))
                    trailers = next(payload for kind, flags, _, payload in connection.frames()
                                    if kind == raw_http2.HEADERS and
                                    flags & raw_http2.END_STREAM)
                    self.assertIn(b"grpc-status\x0212", trailers)  # UNIMPLEMENTED
                    self.assertIn(b"Compression algorithm '%s' is disabled" % name.encode(),
                                  trailers)
                # Of a peer that does not say how: the bytes are no message then.
                with raw_http2.Connection(self.grpc) as connection:
                    connection.call(1, method, raw_http2.message(packed, compressed=True))
                    self.assertTrue(any(flags & raw_http2.END_STREAM and
                                        b"REQUEST_MALFORMED" in payload
                                        for kind, flags, _, payload in connection.frames()
                                        if kind == raw_http2.HEADERS))
            channel = grpc.insecure_channel(self.grpc, compression=getattr(
                grpc.Compression, name.capitalize()))
            self.addCleanup(channel.close)
            with self.assertRaises(grpc.RpcError) as raised:
                list(training_services.TrainingServiceStub(channel).Train(iter([join()])))
            self.assertEqual(raised.exception.code(), grpc.StatusCode.UNIMPLEMENTED)
        if not SANITIZED:
            self.assertLess(self.peak_resident_bytes(), 48 << 20)

    # ---- Runs ----

    def refused_run(self, run, run_id="new"):
        with self.assertRaises(grpc.RpcError) as raised:
            self.create(run_id, run)
        self.assertEqual(len(self.runs.ListRuns(run_api.ListRunsRequest()).runs), 1)
        return raised.exception.code(), raised.exception.details()

    def test_a_model_without_elements_is_refused(self):
        for shapes in ((), ([0],), ([3], [2, 0])):
            run = spec()
            del run.layout.tensors[:]
            for i, shape in enumerate(shapes):
                run.layout.tensors.add(name=f"t{i}", shape=shape)
            self.assertEqual(self.refused_run(run)[0], grpc.StatusCode.INVALID_ARGUMENT)

    def test_tensors_of_absurd_sizes_are_refused_at_once(self):
        for shape in ([2**40], [2**62, 2**62], [2**31] * 8, [2**63 - 1], [-1], [-2**31, -2**31],
                      [1] * 100_000):
            run = spec()
            run.layout.tensors[0].shape[:] = shape
            code, message = self.refused_run(run)
            self.assertIn(code, (grpc.StatusCode.INVALID_ARGUMENT,
                                 grpc.StatusCode.RESOURCE_EXHAUSTED))
            self.assertLess(len(message), 1000)
        run = spec(2**40)
        self.assertRegex(self.refused_run(run)[1], r"1099511627776")

    def test_learning_rates_that_make_no_sense_are_refused(self):
        for rate in (float("nan"), float("inf"), -1, 1e300):
            run = spec()
            run.schedule.learning_rate = rate
            code, message = self.refused_run(run)
            self.assertEqual(code, grpc.StatusCode.INVALID_ARGUMENT)
            self.assertIn("learning_rate", message)
            update = run_api.UpdateRunRequest()
            update.run.name = "runs/r"
            update.run.schedule.learning_rate = rate
            update.update_mask.paths.append("schedule.learning_rate")
            with self.assertRaises(grpc.RpcError) as raised:
                self.runs.UpdateRun(update, timeout=TIMEOUT_SECONDS)
            self.assertEqual(raised.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
            self.assertIn("learning_rate", raised.exception.details())
        self.assertEqual(self.describe("r").schedule.learning_rate, 1)

    def test_hyper_parameters_out_of_range_are_refused_by_name(self):
        for name, value in (("beta1", 1), ("beta2", -0.1), ("epsilon", float("nan")), ("beta1", 2)):
            run = spec()
            setattr(run.optimizer.adam, name, value)
            code, message = self.refused_run(run)
            self.assertEqual(code, grpc.StatusCode.INVALID_ARGUMENT)
            self.assertIn(f"optimizer.adam.{name}", message)

    def test_bad_run_ids_and_second_runs_of_an_id_are_refused(self):
        for run_id in ("UPPER", "a/b", "", "-x", "x" * 200, "a b", "\u2603"):
            if run_id:  # Without one, the server chooses it.
                self.assertEqual(self.refused_run(spec(), run_id)[0],
                                 grpc.StatusCode.INVALID_ARGUMENT, run_id)
        self.assertEqual(self.refused_run(spec(), "r")[0], grpc.StatusCode.ALREADY_EXISTS)

    def test_a_creation_goes_on_without_its_client_and_can_be_asked_for_again(self):
        run = spec(80_000_000)
        run.layout.tensors[0].initializer.uniform.high = 1
        request = run_api.CreateRunRequest(run_id="slow", run=run, request_id="once")
        with self.assertRaises(grpc.RpcError) as raised:
            self.runs.CreateRun(request, timeout=0.01)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)

        def created():
            try:
                return self.runs.CreateRun(request, timeout=TIMEOUT_SECONDS)
            except grpc.RpcError as error:
                self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE, error.details())
                return None
        self.assertEqual(until("the run", created).parameter_count, 80_000_000)

    # ---- Greed ----

    def test_a_peer_that_never_reads_cannot_grow_the_server(self):
        run = spec(ELEMENTS)
        run.lease_duration.seconds = 600
        self.create("patient", run)
        before = self.resident_bytes()
        sent = [0]
        enough = threading.Event()

        def requests():
            yield join(run="runs/patient")
            message = push(header(sequence=5), None)  # It skips: each is answered.
            while not enough.is_set():
                sent[0] += 1
                yield message
        # Its window stays at 64 KiB.
        channel = grpc.insecure_channel(self.grpc, options=(("grpc.http2.bdp_probe", 0),))
        self.addCleanup(channel.close)
        responses = training_services.TrainingServiceStub(channel).Train(requests())
        self.addCleanup(responses.cancel)
        self.addCleanup(enough.set)

        def answered():
            return self.describe("patient").progress.rejected_pushes
        last = []

        def stands_still():
            last.append((sent[0], answered()))
            return len(last) > 50 and last[-50][1] == last[-1][1] > 0 and sent[0] > 2 * last[-1][1]
        until("the server's refusal to read on", stands_still)
        if not SANITIZED:
            self.assertLess(self.resident_bytes() - before, 20 << 20)
        self.assertEqual(self.describe("patient").workers[0].state, run_pb2.WORKER_STATE_COMPUTING)

    def test_a_worker_that_takes_no_parameters_does_not_hold_the_others(self):
        elements = 20_000_000
        run = spec(elements, workers=2)
        run.lease_duration.seconds = 1
        self.create("big", run)
        stuck = self.stream(join("stuck", "runs/big", want_parameters=True))
        self.assertTrue(stuck.next().HasField("welcome"))  # And never reads again.
        other = self.stream(join("other", "runs/big"))
        other.next()
        size = 250_000
        zeros = b"\0" * (4 * size)
        other.send(*(push(header() if at == 0 else None, api.ParameterChunk(offset=at, data=zeros),
                          commit=at + size == elements) for at in range(0, elements, size)))
        self.assertEqual(other.next().push_result.outcome, api.PUSH_OUTCOME_APPLIED)
        self.assertIn(stuck.error()[0],
                      (grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED))

    def test_idle_connections_do_not_keep_the_pages_from_others(self):
        connections = [self.connect(self.http) for _ in range(300)]
        try:
            self.run_program("gradd", "--probe", self.grpc)
            for page in ("/healthz", "/readyz", "/metrics"):
                self.assertTrue(re.match("ok|ready|# HELP", self.get(page)))
        finally:
            for connection in connections:
                connection.close()


class KilledWorkerTest(ServerTest):
    def test_a_run_goes_on_when_a_worker_is_killed_and_takes_it_back(self):
        model = ("--data", "synthetic", "--model", "softmax", "--features", "10", "--batch", "8",
                 "--eval-every", "0")
        run = spec(10 * 10 + 10, workers=2)
        del run.layout.tensors[:]
        run.layout.tensors.add(name="layer1/weights", shape=[10, 10])
        run.layout.tensors.add(name="layer1/bias", shape=[10])
        run.lease_duration.seconds = 1
        run.schedule.learning_rate = 0.01
        self.create("r", run)

        def worker(rank, *more):
            return self.start("gradworker", "--server", self.grpc, "--run", "r", *model, "--rank",
                              str(rank), "--workers", "2", *more)

        def steps_beyond(step):
            return lambda: self.describe("r").progress.step > step
        survivor, victim = worker(0), worker(1)
        until("the first steps", steps_beyond(10))
        victim.kill()
        victim.wait()
        step = self.describe("r").progress.step
        until("further steps", steps_beyond(step + 10))
        states = {w.worker: w.state for w in self.describe("r").workers}
        self.assertEqual(states["w1"], run_pb2.WORKER_STATE_EXPIRED)
        applied = {w.worker: w.applied_pushes for w in self.describe("r").workers}["w1"]
        worker(1)

        def back():
            return {w.worker: w.applied_pushes for w in self.describe("r").workers}["w1"] > applied
        until("the worker's return", back)
        self.assertIsNone(survivor.poll())

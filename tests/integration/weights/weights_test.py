"""Runs come from files of weights and go into them: gradctl create --from, import and export, with a real gradd."""
import json
import os
import random
import signal
import struct
import subprocess

from gradd.v1 import run_pb2
from gradd.v1 import training_service_pb2 as api
from gradd.v1 import transfer_pb2
from gradd_process import ServerTest, TIMEOUT_SECONDS, program, until
from train_stream import Stream, header, join, push

BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8}
SHAPES = {"embedding": [7, 3], "layer/weights": [3, 5], "layer/bias": [5], "scale": []}


def elements_of(shape):
    count = 1
    for dimension in shape:
        count *= dimension
    return count


def write(path, tensors, metadata=None):
    """A safetensors file of name -> (type, shape, bytes)."""
    entries, at = ({"__metadata__": metadata} if metadata else {}), 0
    for name, (kind, shape, data) in tensors.items():
        entries[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(entries).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in tensors.values():
            file.write(data)


def read(path):
    with open(path, "rb") as file:
        length, = struct.unpack("<Q", file.read(8))
        entries = json.loads(file.read(length))
        data = file.read()
    metadata = entries.pop("__metadata__", {})
    return metadata, {name: (entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])])
                      for name, entry in entries.items()}


def floats(data):
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def some_floats(count, seed=1):
    generator = random.Random(seed)
    return [generator.gauss(0, 1) for _ in range(count)]


def weights(kind="F32"):
    code = {"F32": "f", "F16": "e"}[kind]
    return {name: (kind, shape, struct.pack(f"<{elements_of(shape)}{code}",
                                            *some_floats(elements_of(shape), seed)))
            for seed, (name, shape) in enumerate(SHAPES.items())}


class WeightsTest(ServerTest):
    def path(self, name):
        return os.path.join(self.directory, name)

    def gradctl(self, *arguments):
        return self.run_program("gradctl", "--server", self.grpc, *arguments)

    def refusal(self, *arguments, code=1):
        done = subprocess.run(
            [program("gradctl"), "--server", self.grpc, *arguments], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_SECONDS,
            check=False)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        return done.stderr

    def create(self, name, path, *more):
        return self.gradctl("create", name, "--from", path, "--learning-rate", "0.5", *more)

    def pull(self, run):
        chunks = self.training.Pull(api.PullRequest(run=f"runs/{run}"), timeout=TIMEOUT_SECONDS)
        return b"".join(chunk.data for chunk in chunks)

    def train(self, run, steps=1):
        """Gradients of ones for the first step, of twos for the second, and so on."""
        count = self.describe(run).parameter_count
        step = self.describe(run).progress.step
        stream = Stream(self.training, join(run=f"runs/{run}"))
        last = stream.next().welcome.last_sequence
        for i in range(steps):
            stream.send(push(header(sequence=last + i + 1, base_step=step + i),
                             api.ParameterChunk(data=struct.pack(f"<{count}f", *[1.0 + step + i] * count))))
            self.assertEqual(stream.next().push_result.outcome, api.PUSH_OUTCOME_APPLIED)
        stream.half_close()
        stream.error()


class InMemoryTest(WeightsTest):
    def test_a_run_begins_with_the_bits_of_the_file_and_goes_out_with_its_own(self):
        write(self.path("in.safetensors"), weights(), {"format": "pt"})
        said = self.create("r", self.path("in.safetensors"))
        self.assertIn("created from", said)
        run = self.describe("r")
        self.assertEqual([(tensor.name, list(tensor.shape)) for tensor in run.layout.tensors],
                         list(SHAPES.items()))
        self.assertEqual(self.pull("r"), b"".join(data for _, _, data in weights().values()))
        self.train("r")
        self.gradctl("export", "r", self.path("out.safetensors"), "--parameters-only")
        metadata, out = read(self.path("out.safetensors"))
        self.assertEqual((metadata["run"], metadata["step"]), ("r", "1"))
        self.assertEqual(list(out), list(SHAPES))
        for name, (kind, shape, data) in out.items():
            self.assertEqual((kind, shape), ("F32", SHAPES[name]))
            before = floats(weights()[name][2])
            self.assertEqual(data, struct.pack(f"<{len(before)}f", *[
                struct.unpack("<f", struct.pack("<f", value - 0.5))[0] for value in before]))
        for name, kind in (("bf16", "BF16"), ("f16", "F16")):
            self.gradctl("export", "r", self.path(name), "--dtype", name)
            _, out = read(self.path(name))
            self.assertEqual({entry[0] for entry in out.values()}, {kind})
            self.assertEqual({key: entry[1] for key, entry in out.items()}, SHAPES)
            self.create(name, self.path(name))
            self.assertLess(max(abs(a - b) for a, b in zip(floats(self.pull(name)),
                                                           floats(self.pull("r")))), 0.02)

    def test_what_needs_a_state_directory_is_refused_with_a_sentence(self):
        write(self.path("in.safetensors"), weights())
        self.create("r", self.path("in.safetensors"))
        self.assertIn("--state-dir", self.refusal("export", "r", self.path("out.safetensors")))
        self.assertFalse(os.path.exists(self.path("out.safetensors")))

    def test_every_mismatch_is_named_and_no_run_is_left(self):
        bad = weights()
        bad["layer/bias"] = ("F64", [5], bytes(40))
        bad["steps"] = ("I64", [1], bytes(8))
        write(self.path("bad.safetensors"), bad)
        said = self.refusal("create", "r", "--from", self.path("bad.safetensors"),
                            "--learning-rate", "0.5")
        for part in ("bad.safetensors", '"layer/bias" is of F64', '"steps" is of I64'):
            self.assertIn(part, said)
        layout = {"tensors": [{"name": "embedding", "shape": [7, 4]}, {"name": "other"}]}
        with open(self.path("layout.json"), "w", encoding="utf-8") as file:
            json.dump(layout, file)
        write(self.path("in.safetensors"), weights())
        said = self.refusal("create", "r", "--from", self.path("in.safetensors"), "--layout",
                            self.path("layout.json"), "--learning-rate", "0.5")
        for part in ('"embedding" has shape [7, 3], [7, 4] expected', '"other" is missing',
                     '"scale" is not in the run'):
            self.assertIn(part, said)
        infinite = weights()
        infinite["scale"] = ("F32", [], struct.pack("<f", float("inf")))
        write(self.path("infinite.safetensors"), infinite)
        said = self.refusal("create", "r", "--from", self.path("infinite.safetensors"),
                            "--learning-rate", "0.5")
        self.assertIn('tensor "scale": element 0 is inf', said)
        self.assertEqual(self.gradctl("--json", "list").count('"name"'), 0)
        self.assertIn("no checkpoint of gradd",
                      self.refusal("import", "r", self.path("in.safetensors")))


class KeptTest(WeightsTest):
    """With a state directory."""

    def setUp(self):
        self.state = None
        super().setUp()

    def start(self, name, *arguments, **options):
        if name == "gradd":
            self.state = self.state or os.path.join(self.directory, "state")
            arguments = (*arguments, "--state-dir", self.state)
        return super().start(name, *arguments, **options)

    def restart(self):
        """After a power failure, as far as a process sees one."""
        self.server.send_signal(signal.SIGKILL)
        self.server.wait()
        self.channel.close()
        directory, self.directory = self.directory, os.path.join(self.directory, "next")
        os.makedirs(self.directory, exist_ok=True)
        ready = os.path.join(self.directory, "ready")
        if os.path.exists(ready):
            os.remove(ready)
        self.attach(self.start("gradd", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0",
                               "--ready-file", ready), ready)
        self.directory = directory

    def incoming(self):
        return os.listdir(os.path.join(self.state, "incoming"))

    def test_a_checkpoint_goes_out_and_comes_in_and_trains_on(self):
        write(self.path("in.safetensors"), weights())
        self.create("r", self.path("in.safetensors"), "--optimizer", "adam")
        self.train("r", steps=3)
        self.gradctl("export", "r", self.path("whole.safetensors"))
        metadata, whole = read(self.path("whole.safetensors"))
        self.assertEqual((metadata["format"], metadata["run"], metadata["step"]), ("gradd", "r", "3"))
        self.assertIn("optimizer/first_moment/layer/bias", whole)
        pulled = self.pull("r")
        self.assertEqual(b"".join(whole[name][2] for name in SHAPES), pulled)
        self.gradctl("export", "r", self.path("part.safetensors"), "--parameters-only", "--step", "3")
        _, part = read(self.path("part.safetensors"))
        self.assertEqual(part, {name: whole[name] for name in SHAPES})
        self.assertIn("step 77",
                      self.refusal("export", "r", self.path("none"), "--step", "77"))
        self.gradctl("import", "again", self.path("whole.safetensors"))
        self.assertEqual(self.pull("again"), pulled)
        again = self.describe("again")
        self.assertTrue(again.optimizer.HasField("adam"))
        self.assertEqual(again.progress.step, 0)
        self.train("again")
        self.gradctl("import", "on", self.path("whole.safetensors"), "--with-state")
        self.assertEqual(self.describe("on").progress.step, 3)
        self.assertEqual(self.pull("on"), pulled)
        self.train("r")
        self.train("on")
        self.assertEqual(self.pull("on"), self.pull("r"))
        self.assertNotEqual(self.pull("on"), self.pull("again"))
        with open(self.path("whole.safetensors"), "r+b") as file:
            file.seek(-40, os.SEEK_END)
            byte = file.read(1)
            file.seek(-40, os.SEEK_END)
            file.write(bytes([byte[0] ^ 1]))
        self.assertIn("not as it was written",
                      self.refusal("import", "x", self.path("whole.safetensors")))
        self.assertEqual(self.incoming(), [])

    def test_a_run_that_was_answered_outlives_the_server(self):
        write(self.path("in.safetensors"), weights())
        self.create("r", self.path("in.safetensors"))
        self.restart()
        until("the run's recovery", lambda: self.gradctl("list").count("recovering") == 0)
        self.assertEqual(self.pull("r"), b"".join(data for _, _, data in weights().values()))
        self.train("r")

    def test_a_server_that_ends_during_the_upload_leaves_nothing_and_the_retry_creates(self):
        write(self.path("in.safetensors"), weights())
        with open(self.path("in.safetensors"), "rb") as file:
            content = file.read()
        run = run_pb2.Run()
        run.optimizer.sgd.SetInParent()
        run.schedule.learning_rate = 1
        run.policy.synchronous.workers = 1
        begin = transfer_pb2.ImportRunRequest(begin=transfer_pb2.ImportBegin(
            run_id="r", run=run, request_id="once", total_bytes=len(content)))
        data = [transfer_pb2.ImportRunRequest(data=content[at:at + 100])
                for at in range(0, len(content), 100)]

        def half():
            yield begin
            yield from data[:-1]
            until("the file", lambda: self.incoming() != [])
            self.server.send_signal(signal.SIGKILL)
            self.server.wait()
            yield data[-1]
        with self.assertRaises(Exception):
            self.runs.ImportRun(half(), timeout=TIMEOUT_SECONDS)
        self.assertNotEqual(self.incoming(), [])
        self.restart()
        self.assertEqual(self.incoming(), [])
        self.assertEqual(os.listdir(os.path.join(self.state, "runs")), [])
        first = self.runs.ImportRun(iter([begin, *data]), timeout=TIMEOUT_SECONDS)
        self.assertEqual(self.pull("r"), b"".join(entry[2] for entry in weights().values()))
        self.restart()
        until("the run's recovery", lambda: self.gradctl("list").count("recovering") == 0)
        # The same answer, without the file.
        again = self.runs.ImportRun(iter([begin]), timeout=TIMEOUT_SECONDS)
        self.assertEqual((again.uid, again.name), (first.uid, first.name))

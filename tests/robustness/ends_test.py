"""How processes end, what they leave behind, and what the next one says about it."""
import os
import resource
import signal
import subprocess
import unittest

import grpc
from gradd.v1 import run_service_pb2 as run_api
from gradd.v1 import run_service_pb2_grpc as run_services
from gradd_process import ServerTest, TIMEOUT_SECONDS, program, spec, until


class EndsTest(ServerTest):
    def serve(self, name, *options, **process_options):
        """Another server, with a log: (process, path of the log, gRPC address)."""
        ready, log = (os.path.join(self.directory, f"{name}.{kind}") for kind in ("ready", "log"))
        with open(log, "w", encoding="utf-8") as file:
            server = self.start("gradd", "--listen", "127.0.0.1:0", "--http", "", "--ready-file",
                                ready, *options, stderr=file, **process_options)
        until("the other server's start", lambda: os.path.exists(ready) or server.poll() is not None)
        self.assertIsNone(server.poll(), self.read(log))
        return server, log, self.read(ready).split("grpc=")[1].split("\n")[0]

    @staticmethod
    def read(path):
        with open(path, encoding="utf-8") as file:
            return file.read()

    def stubs(self, address):
        channel = grpc.insecure_channel(address)
        self.addCleanup(channel.close)
        return run_services.RunServiceStub(channel)

    def create_on(self, address, run_id):
        self.stubs(address).CreateRun(run_api.CreateRunRequest(run_id=run_id, run=spec()),
                                      timeout=TIMEOUT_SECONDS)

    def test_signals_to_stop_drain_the_server(self):
        for number, words in ((signal.SIGHUP, "Hangup"), (signal.SIGINT, "Interrupt"),
                              (signal.SIGTERM, "Terminated")):
            server, log, _ = self.serve(words)
            server.send_signal(number)
            self.assertEqual(server.wait(TIMEOUT_SECONDS), 0)
            self.assertIn(f"info stopping on {words}: finishing pushes in flight", self.read(log))
            self.assertIn("info stopped", self.read(log))

    def test_stray_signals_do_not_end_the_server(self):
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGXFSZ, signal.SIGPIPE):
            self.server.send_signal(number)
        self.create("r", spec())
        self.assertEqual(self.get("/healthz"), "ok\n")

    def test_nohup_keeps_the_server(self):
        server, _, address = self.serve(
            "nohup", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        server.send_signal(signal.SIGHUP)
        self.create_on(address, "r")
        self.assertIsNone(server.poll())

    @unittest.skipIf("thread" in os.environ.get("GRADD_SANITIZE", ""),
                     "with such a limit, ThreadSanitizer ends even `gradd --version`")
    def test_a_limit_on_files_does_not_kill_the_server(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        ready = os.path.join(self.directory, "limited")
        done = subprocess.run(
            [program("gradd"), "--listen", "127.0.0.1:0", "--http", "", "--log-level", "off",
             "--ready-file", ready], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, preexec_fn=limit, timeout=TIMEOUT_SECONDS, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(f"gradd: --ready-file: cannot write {ready}: File too large", done.stderr)

    def test_the_tools_end_in_order_when_their_terminal_is_closed(self):
        self.create("r", spec(workers=2))
        watch = self.start("gradctl", "--server", self.grpc, "watch", "r",
                           stdout=subprocess.PIPE, text=True)
        self.addCleanup(watch.stdout.close)
        watch.stdout.readline()
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGXFSZ, signal.SIGHUP):
            watch.send_signal(number)
        self.assertEqual(watch.wait(TIMEOUT_SECONDS), 130)

    def test_a_runs_file_is_a_plain_file(self):
        fifo = os.path.join(self.directory, "fifo")
        os.mkfifo(fifo)
        for path in (self.directory, "/dev/zero", fifo):
            done = subprocess.run(
                [program("gradd"), "--listen", "127.0.0.1:0", "--http", "", "--runs-file", path],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                timeout=TIMEOUT_SECONDS, check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(f"gradd: --runs-file: {path} is there and is not a file of runs", done.stderr)

    def test_a_ready_file_follows_no_link_that_was_put_in_its_way(self):
        victim = os.path.join(self.directory, "victim")
        with open(victim, "w", encoding="utf-8") as file:
            file.write("precious")
        os.symlink(victim, os.path.join(self.directory, "attacked.ready.tmp"))
        self.serve("attacked")
        self.assertEqual(self.read(victim), "precious")

    def test_what_is_lost_is_said_at_the_next_start(self):
        runs_file = os.path.join(self.directory, "state", "runs")
        server, _, address = self.serve("first", "--runs-file", runs_file)
        self.create_on(address, "mnist")
        until("the run's name in the file", lambda: "runs/mnist 0\n" in self.read(runs_file))
        server.kill()
        server.wait(TIMEOUT_SECONDS)

        server, log, address = self.serve("second", "--runs-file", runs_file)
        self.assertRegex(self.read(log), "warning the last server here, which ran since .* and was "
                         r"killed some time after .*, had 1 run in its memory, lost with it: "
                         r"mnist \(step 0\)")
        listed = self.run_program("gradctl", "--server", address, "list")
        self.assertRegex(listed, "^no runs; the server was started "
                         r"(now|.* ago)\nlost with the server before it: mnist \(step 0\)\n$")
        self.create_on(address, "other")
        server.terminate()
        self.assertEqual(server.wait(TIMEOUT_SECONDS), 0)
        self.assertIn("warning 1 run ends with the server: it is in its memory only", self.read(log))

        server, log, _ = self.serve("third", "--runs-file", runs_file)
        self.assertRegex(self.read(log), r"was stopped at .*, lost with it: other \(step 0\)")
        server.terminate()
        self.assertEqual(server.wait(TIMEOUT_SECONDS), 0)
        _, log, _ = self.serve("fourth", "--runs-file", runs_file)
        self.assertNotIn("warning", self.read(log))

    def test_another_file_is_not_taken_for_one_of_runs(self):
        path = os.path.join(self.directory, "notes")
        with open(path, "w", encoding="utf-8") as file:
            file.write("precious")
        done = subprocess.run(
            [program("gradd"), "--listen", "127.0.0.1:0", "--http", "", "--runs-file", path],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_SECONDS,
            check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"--runs-file: {path} is there and is not a file of runs", done.stderr)
        self.assertEqual(self.read(path), "precious")

    def test_prefetching_from_a_synchronous_run_is_refused_before_it_joins(self):
        self.create("r", spec(workers=2))
        done = subprocess.run(
            [program("gradworker"), "--server", self.grpc, "--run", "r", "--data", "synthetic",
             "--prefetch"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_SECONDS, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--prefetch needs an asynchronous run, and r is synchronous", done.stderr)
        self.assertEqual(len(self.describe("r").workers), 0)

    def test_numbers_are_not_wrapped_around(self):
        for command in (("gradworker", "--data", "synthetic", "--print-layout", "--seed", "-1"),
                        ("gradctl", "landscape", "bowl", "sgd", "--seed", "-1"),
                        ("gradd", "--max-runs", "1e99")):
            done = subprocess.run([program(command[0]), *command[1:]], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                  timeout=TIMEOUT_SECONDS, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("a whole number from", done.stderr)

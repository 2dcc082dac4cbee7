"""gradctl's lr-find, race and landscape, with real workers and a real server."""
import csv
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios

from gradd.v1 import optimizer_pb2
from gradd_process import TIMEOUT_SECONDS, program, until
from paused_run import FASHION_MNIST, PausedRunTest

ENTRIES = ("sgd:0.1", "momentum:0.02", "nesterov:0.02", "adagrad:0.02", "rmsprop:0.002", "adam:0.005")


class GradctlTest(PausedRunTest):
    def gradctl(self, *arguments):
        return self.run_program("gradctl", "--server", self.grpc, *arguments)

    def refusal(self, *arguments, server=None, code=2):
        """Of gradctl, which must end with that code and say one thing."""
        done = subprocess.run(
            [program("gradctl"), "--server", server or self.grpc, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=TIMEOUT_SECONDS, check=False)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        return done.stderr

    def race(self, *arguments):
        return json.loads(self.gradctl("--json", "race", "r", *arguments))["standings"]


class ToolsTest(GradctlTest):
    # ---- lr-find ----

    def test_lr_find_leaves_the_run_as_it_was_and_writes_its_files(self):
        self.create_paused("r", "--optimizer", "adam", "--learning-rate", "0.01")
        before = self.what_must_stay("r")
        svg, table = (os.path.join(self.directory, name) for name in ("rates.svg", "rates.csv"))
        text = self.gradctl("lr-find", "r", "--steps", "100", "--svg", svg, "--csv", table)
        self.assertRegex(text, r"suggested learning rate: [0-9.e-]+\n  the middle of the rates")
        self.assertIn("gradctl set r learning-rate=", text)
        self.assertEqual(self.what_must_stay("r"), before)
        with open(svg, encoding="utf-8") as file:
            self.assertIn("suggested", file.read())
        with open(table, encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        rates = [float(row["learning_rate"]) for row in rows]
        self.assertEqual(rates, sorted(rates))
        self.assertAlmostEqual(rates[0], 1e-6)
        self.assertLessEqual(len(rows), 99)
        found = json.loads(self.gradctl("--json", "lr-find", "r", "--steps", "100"))
        self.assertEqual([float(f"{point['learning_rate']:.9g}") for point in found["points"]], rates)

    def test_lr_find_goes_on_from_where_a_trained_run_is(self):
        self.create_run("r", "--optimizer", "momentum", "--learning-rate", "0.05", "--steps", "1000000")
        self.start_worker("r", "--delay", "1")
        until("some steps", lambda: self.describe("r").progress.step > 200)
        loss = self.describe("r").progress.smoothed_loss
        table = os.path.join(self.directory, "rates.csv")
        # There may be nothing left to learn, and no rate to suggest.
        subprocess.run([program("gradctl"), "--server", self.grpc, "lr-find", "r", "--steps", "40",
                        "--csv", table], stdout=subprocess.DEVNULL, timeout=TIMEOUT_SECONDS, check=False)
        with open(table, encoding="utf-8") as file:
            losses = [float(row["loss"]) for row in csv.DictReader(file)][:10]
        self.assertLess(sum(losses) / 10, 2 * loss)
        step = self.describe("r").progress.step
        until("the run to go on", lambda: self.describe("r").progress.step > step)
        self.assertFalse(self.describe("r").history)

    def test_a_worker_that_was_just_started_is_waited_for(self):
        self.create_run("r", "--learning-rate", "0.1")
        finder = self.start("gradctl", "--server", self.grpc, "lr-find", "r", "--steps", "40",
                            stdout=subprocess.DEVNULL)
        with self.assertRaises(subprocess.TimeoutExpired):
            finder.wait(timeout=0.5)
        self.start_worker("r")
        self.assertEqual(finder.wait(timeout=TIMEOUT_SECONDS), 0)

    # ---- race ----

    def test_live_standings_fit_the_terminal(self):
        self.create_paused("r", "--learning-rate", "0.1")
        reader, terminal = pty.openpty()
        columns = 30
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        race = self.start("gradctl", "--server", self.grpc, "race", "r", "sgd:0.1",
                          "adam:learning-rate=0.001,beta1=0.95", "--steps", "2000", stdout=terminal)
        os.close(terminal)
        output = b""
        try:
            while part := os.read(reader, 1 << 16):
                output += part
        except OSError:  # So it ends when nobody has the terminal open any more.
            pass
        os.close(reader)
        self.assertEqual(race.wait(timeout=TIMEOUT_SECONDS), 0)
        frames = output.decode().split("\x1b[J")
        self.assertGreater(len(frames), 2)
        for frame in frames[:-1]:
            for line in re.sub("\x1b.*", "", frame).splitlines():
                self.assertLess(len(line), columns)
        self.assertIn("finished", frames[-1])


    def test_watch_shows_the_cursor_again_however_it_ends(self):
        self.create_run("r", "--learning-rate", "0.1")
        reader, terminal = pty.openpty()
        self.addCleanup(os.close, reader)
        watch = self.start("gradctl", "--server", self.grpc, "watch", "r", stdout=terminal,
                           stderr=subprocess.DEVNULL)
        os.close(terminal)
        output = b""
        while b"\x1b[?25l" not in output:
            output += os.read(reader, 1 << 16)
        # The second signal ends it at once, wherever it is.
        watch.send_signal(signal.SIGTERM)
        watch.send_signal(signal.SIGTERM)
        try:
            while part := os.read(reader, 1 << 16):
                output += part
        except OSError:
            pass
        self.assertEqual(watch.wait(timeout=TIMEOUT_SECONDS), 130)
        self.assertGreater(output.rfind(b"\x1b[?25h"), output.rfind(b"\x1b[?25l"))

    def test_rates_that_are_not_given_are_found(self):
        self.create_paused("r", "--learning-rate", "0.1")
        svg, table = (os.path.join(self.directory, name) for name in ("race.svg", "race.csv"))
        text = self.gradctl("race", "r", "sgd", "adam:0.005", "--steps", "50", "--sweep-steps", "100",
                            "--svg", svg, "--csv", table)
        self.assertRegex(text, r"sgd +\d +[0-9.]+ +[0-9.e-]+ (found|guess) +50 ")
        self.assertRegex(text, r"adam:0.005 +\d +[0-9.]+ +0.005 +50 ")
        with open(table, encoding="utf-8") as file:
            self.assertEqual(len(list(csv.DictReader(file))), 100)
        self.assertTrue(os.path.getsize(svg) > 1000)

    def test_who_diverges_is_last_and_the_others_arrive(self):
        self.create_paused("r", "--learning-rate", "0.1")
        standings = self.race("--steps", "200", "sgd:1e6", "sgd:0.1")
        self.assertEqual([racer["optimizer"] for racer in standings], ["sgd:0.1", "sgd:1e6"])
        self.assertEqual([racer["state"] for racer in standings], ["finished", "diverged"])

    def test_two_workers_train_the_trials_together(self):
        self.create_run("r", "--learning-rate", "0.1", "--workers", "2", "--steps", "1000000")
        for rank in ("0", "1"):
            self.start_worker("r", "--rank", rank, "--workers", "2", "--worker", f"w{rank}")
        until("both", lambda: len(self.describe("r").workers) == 2)
        standings = self.race("--steps", "20", "sgd:0.1", "adam:0.01")
        self.assertEqual([len(racer["steps"]) for racer in standings], [20, 20])

    # ---- Ends before the end ----

    def check_end(self, end, code, *arguments):
        """Ends a command in its middle: nothing may be left, and the run goes on."""
        self.create_run("r", "--learning-rate", "0.1", "--steps", "1000000")
        self.start_worker("r", "--delay", "5")
        until("the worker", lambda: self.describe("r").progress.step > 0)
        process = self.start("gradctl", "--server", self.grpc, *arguments, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        until("trials that step", lambda: [
            run for run in self.run_ids() if run != "runs/r" and
            self.describe(run.split("/")[1]).progress.step > 3])
        step = self.describe("r").progress.step
        process.send_signal(end)
        self.assertEqual(process.wait(timeout=TIMEOUT_SECONDS), code)
        if end != signal.SIGKILL:
            self.assertEqual(self.run_ids(), ["runs/r"])
        until("the end of the trials", lambda: self.run_ids() == ["runs/r"])
        until("the run to go on", lambda: self.describe("r").progress.step > step)
        self.assertFalse(self.describe("r").history)

    def test_an_interrupted_finder_leaves_no_trial(self):
        self.check_end(signal.SIGINT, 130, "lr-find", "r", "--steps", "1000", "--to", "1e-5")

    def test_a_killed_finder_leaves_no_trial(self):
        self.check_end(signal.SIGKILL, -signal.SIGKILL, "lr-find", "r", "--steps", "1000", "--to", "1e-5")

    def test_an_interrupted_race_leaves_no_trial(self):
        self.check_end(signal.SIGINT, 130, "race", "r", "sgd:0.1", "adam:0.01", "--steps", "10000")

    def test_a_worker_that_dies_in_the_middle_ends_the_finder_and_not_the_server(self):
        self.create_run("r", "--learning-rate", "0.1", "--steps", "1000000")
        worker = self.start_worker("r", "--delay", "5")
        until("the worker", lambda: self.describe("r").progress.step > 0)
        process = self.start("gradctl", "--server", self.grpc, "lr-find", "r", "--steps", "1000",
                             "--to", "1e-5", "--idle-timeout", "2s", stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True)
        until("the trial", lambda: len(self.run_ids()) == 2)
        worker.kill()
        _, text = process.communicate(timeout=TIMEOUT_SECONDS)
        self.assertEqual(process.returncode, 3)
        self.assertIn("no trial made a step for 2s", text)
        self.assertEqual(self.run_ids(), ["runs/r"])

    def test_methods_that_find_their_step_sizes_are_not_swept(self):
        self.create_run("r", "--learning-rate", "0.5", "--optimizer", "dog")
        text = self.gradctl("lr-find", "r")
        self.assertIn("dog finds its step sizes itself, so there is nothing to sweep", text)
        self.assertIn("gradctl set r learning-rate=1\n", text)
        self.assertEqual(json.loads(self.gradctl("--json", "lr-find", "r"))["learning_rate"], 1)
        svg = os.path.join(self.directory, "rates.svg")
        self.assertIn("--svg: there is no sweep of dog", self.refusal("lr-find", "r", "--svg", svg))
        self.assertFalse(os.path.exists(svg))
        self.create_run("without", "--optimizer", "AdaDelta")
        self.assertEqual(self.describe("without").schedule.learning_rate, 1)
        worker = self.start_worker("r", "--delay", "5")
        until("the worker", lambda: self.describe("r").progress.step > 0)
        standings = self.race("dog", "rprop", "sgd:0.1", "--steps", "30")
        self.assertEqual({racer["optimizer"]: (racer["learning_rate"], racer["learning_rate_is_own"])
                          for racer in standings},
                         {"dog": (1, True), "rprop": (0.01, True), "sgd:0.1": (0.1, False)})
        worker.kill()

    # ---- Landscape ----

    def test_landscape_marks_rates_that_are_the_methods_own(self):
        text = self.gradctl("landscape", "bowl", "dog", "sgd", "adam:0.01", "--steps", "5")
        self.assertRegex(text, r"dog +1 own +5 ")
        self.assertRegex(text, r"sgd +[0-9.e-]+ found +5 ")
        self.assertRegex(text, r"adam:0.01 +0.01 +5 ")
        paths = json.loads(self.gradctl("--json", "landscape", "bowl", "dog", "sgd", "--steps", "5"))["paths"]
        self.assertEqual([path["learning_rate_is_own"] for path in paths], [True, False])

    def test_landscape_needs_no_worker_and_leaves_nothing(self):
        svg, table = (os.path.join(self.directory, name) for name in ("map.svg", "map.csv"))
        text = self.gradctl("landscape", "himmelblau", "sgd:0.01", "adam", "--steps", "20", "--svg", svg,
                            "--csv", table)
        self.assertRegex(text, r"adam +[0-9.e-]+ found +20 ")
        with open(table, encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), 2 * 21)
        self.assertEqual((float(rows[0]["x"]), float(rows[0]["y"]), float(rows[0]["value"])), (0, 0, 170))
        with open(svg, encoding="utf-8") as file:
            self.assertIn("sgd:0.01", file.read())
        paths = json.loads(self.gradctl("--json", "landscape", "saddle", "sgd:0.1", "--start", "1,-0.5",
                                        "--steps", "3"))["paths"]
        self.assertEqual(paths[0]["points"][0][:2], [1, -0.5])
        self.assertEqual(len(paths[0]["points"]), 4)
        self.assertEqual(self.run_ids(), [])

    def test_every_optimizer_walks_with_noise(self):
        kinds = [field.name.replace("_", "") for field in
                 optimizer_pb2.Optimizer.DESCRIPTOR.oneofs_by_name["kind"].fields]
        paths = json.loads(self.gradctl(
            "--json", "landscape", "monkey-saddle", *(f"{kind}:0.01" for kind in kinds), "--steps", "3",
            "--gradient-noise", "0.1"))["paths"]
        self.assertEqual([path["optimizer"].split(":")[0] for path in paths], kinds)
        for path in paths:
            self.assertEqual(len(path["points"]), 4, path["optimizer"])

    # ---- What is wrong is said before anything is done ----

    def test_bad_input_is_refused_before_the_server_is_asked(self):
        nowhere = "127.0.0.1:1"
        for arguments, message in (
                (("lr-find", "r", "--from", "1", "--to", "1"), "is empty"),
                (("lr-find", "r", "--from", "1", "--to", "0.1"), "is reversed"),
                (("lr-find", "r", "--from", "nan"), "--from"),
                (("lr-find", "r", "--from", "-1"), "--from: -1"),
                (("lr-find", "r", "--steps", "1"), "--steps: 1 is outside [20, 1000]"),
                (("lr-find", "r", "--idle-timeout", "soon"), "--idle-timeout"),
                (("lr-find", ""), "RUN: an empty value found"),
                (("lr-find", "r", "--svg", "same", "--csv", "same"), "the same file"),
                (("race", "r", "adam"), "at least 2 expected"),
                (("race", "r", "adam", "adagard"), "unknown optimizer \"adagard\""),
                (("race", "r", "adam", "sgd", "adam"), "are the same"),
                (("race", "r", "adam", "sgd", "--steps", "0"), "--steps: 0"),
                (("landscape", "everest"), "no landscape \"everest\"; there are bowl, "),
                (("landscape", "bowl", "--start", "nan,0"), "--start: \"nan,0\""),
                (("landscape", "bowl", "--start", "1"), "two finite numbers"),
                (("landscape", "bowl", "--start", "1,1e39"), "two finite numbers"),
                (("landscape", "bowl", "--gradient-noise", "-1"), "--gradient-noise: -1"),
                (("landscape", "bowl", "adam", "adam"), "are the same"),
                (("landscape", "bowl", "--steps", "-3"), "--steps: -3")):
            self.assertIn(message, self.refusal(*arguments, server=nowhere), arguments)
        for arguments in (("lr-find", "r"), ("race", "r", "adam", "sgd"), ("landscape", "bowl")):
            for option in ("--svg", "--csv"):
                path = os.path.join(self.directory, "absent", "file")
                text = self.refusal(*arguments, option, path, server=nowhere, code=1)
                self.assertIn(f"cannot write {path}: No such file or directory", text)
                self.assertIn("not a regular file", self.refusal(
                    *arguments, option, self.directory, server=nowhere, code=1))

    def test_a_run_without_workers_is_refused_with_how_to_start_one(self):
        self.create_run("r", "--learning-rate", "0.1")
        for arguments in (("lr-find", "r"), ("race", "r", "adam", "sgd")):
            text = self.refusal(*arguments, code=1)
            self.assertIn("run \"r\" has no worker", text)
            self.assertIn("gradworker --run r ", text)
        self.assertIn("no run \"absent\"", self.refusal("lr-find", "absent", code=1))
        self.assertEqual(self.run_ids(), ["runs/r"])


class FashionMnistRaceTest(GradctlTest):
    MODEL = FASHION_MNIST

    def test_all_racers_have_the_same_start_and_the_same_mini_batches(self):
        # At rate 0 nobody moves: the losses are those of the mini-batches at the start.
        self.create_paused("r", "--learning-rate", "0.1")
        standings = self.race("--steps", "30", *(f"{entry.split(':')[0]}:0" for entry in ENTRIES))
        losses = [[step["loss"] for step in racer["steps"]] for racer in standings]
        self.assertEqual(len(losses), 6)
        self.assertEqual(len(set(losses[0])), 30)
        for other in losses[1:]:
            self.assertEqual(other, losses[0])

    def test_standings_are_those_of_six_separate_runs(self):
        steps = 60
        self.create_paused("r", "--learning-rate", "0.1", "--seed", "7")
        standings = self.race("--steps", str(steps), *ENTRIES)
        self.assertEqual(sorted(racer["optimizer"] for racer in standings), sorted(ENTRIES))
        alone = {}
        for entry in ENTRIES:
            optimizer, rate = entry.split(":")
            self.create_run(optimizer, "--optimizer", optimizer, "--learning-rate", rate, "--seed", "7",
                            "--steps", str(steps))
            self.assertEqual(self.start_worker(optimizer).wait(timeout=TIMEOUT_SECONDS), 0)
            progress = self.describe(optimizer).progress
            alone[entry] = (progress.loss, progress.smoothed_loss)
        for racer in standings:
            last = racer["steps"][-1]
            self.assertEqual(last["step"], steps)
            self.assertEqual((last["loss"], last["smoothed_loss"]), alone[racer["optimizer"]])
        self.assertEqual([racer["optimizer"] for racer in standings],
                         sorted(ENTRIES, key=lambda entry: alone[entry][1]))

"""Wrong use of the three programs: a message on standard error and the right exit code."""
import os
import re
import subprocess
import tempfile
import unittest

from gradd_process import SANITIZED, ServerTest, TIMEOUT_SECONDS, program, spec


class CommandLineTest(unittest.TestCase):
    def refused(self, name, *arguments, code=2, **options):
        """What the program says when it ends with `code`."""
        done = subprocess.run([program(name), *arguments], stdin=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_SECONDS,
                              check=False, **options)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def test_a_probe_needs_an_address(self):
        for address in ("", "h", "127.0.0.1:0", "127.0.0.1:99999"):
            self.assertIn("gradd: --probe: ", self.refused("gradd", "--probe", address))
        self.assertIn("cannot connect", self.refused("gradd", "--probe", "127.0.0.1:1", code=1))

    def test_addresses_that_are_none_are_refused_by_option(self):
        for option in ("--listen", "--http"):
            self.assertIn(f'{option}: port 116000 of "127.0.0.1:116000" is outside [0, 65535]',
                          self.refused("gradd", option, "127.0.0.1:116000"))

    @unittest.skipIf(SANITIZED, "it starts some 200 programs, which are slow to start then")
    def test_no_option_of_any_program_takes_an_empty_value(self):
        commands = [("gradd",), ("gradworker",)] + [("gradctl", command, "r") for command in (
            "create", "show", "watch", "set", "pause", "resume", "delete", "pull", "lr-find", "race")]
        commands += [("gradctl", "list"), ("gradctl", "landscape", "bowl")]
        options = 0
        for name, *arguments in commands:
            text = subprocess.run([program(name), *arguments[:1], "--help"], check=True, timeout=TIMEOUT_SECONDS,
                                  stdout=subprocess.PIPE, text=True).stdout
            # Those with a value say which: `--steps N`, `--svg FILE`.
            for option in re.findall(r"^ +(?:-\w,)?(--[a-z0-9-]+)(?:,--[a-z0-9-]+)* [A-Z]", text, re.MULTILINE):
                if name == "gradd" and option in ("--http", "--runs-file"):
                    continue  # Where it means: none.
                options += 1
                self.assertIn(f"{name}: {option}: ", self.refused(name, *arguments, option, ""))
        self.assertGreater(options, 150)

    def test_results_that_cannot_be_written_are_an_error(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            for command in (("gradd", "--help"), ("gradd", "--version"), ("gradworker", "--help"),
                            ("gradworker", "--print-layout", "--data", "synthetic"),
                            ("gradctl", "--version"), ("gradctl", "create", "--help")):
                self.assertRegex(self.refused(*command, code=1, stdout=full),
                                 f"^{command[0]}: cannot write to standard output")

    def test_unknown_keys_of_a_config_file_are_named_with_the_file(self):
        for name, arguments in (("gradd", ()), ("gradworker", ("--print-layout",)),
                                ("gradctl", ("list",))):
            with tempfile.NamedTemporaryFile("w") as file:
                file.write("no-such-key=1\n")
                file.flush()
                expected = f'{name}: {file.name}: unknown option "no-such-key"'
                self.assertIn(expected, self.refused(name, "--config", file.name, *arguments))
                # Each program has a variable of its own.
                variables = {**os.environ, f"{name.upper()}_CONFIG": file.name}
                self.assertIn(expected, self.refused(name, *arguments, env=variables))

    def test_the_layout_does_not_depend_on_the_batch(self):
        arguments = ("--data", "synthetic", "--examples", "10", "--batch", "11")
        subprocess.run([program("gradworker"), *arguments, "--print-layout"], check=True,
                       stdout=subprocess.DEVNULL, timeout=TIMEOUT_SECONDS)
        self.assertIn("gradworker: batch: 11, at most 10 expected",
                      self.refused("gradworker", *arguments, "--run", "r"))

    def test_options_that_cannot_go_with_the_data_are_wrong_usage(self):
        for arguments in (("--features", "0"), ("--examples", "-1"), ("--classes", "1"),
                          ("--workers", "100000"), ("--server", "h:99999")):
            self.assertIn("gradworker: ", self.refused("gradworker", "--data", "synthetic", "--run",
                                                       "r", *arguments))


class OutputTest(ServerTest):
    def test_a_list_that_cannot_be_written_is_an_error(self):
        self.create("r", spec())
        with open("/dev/full", "w", encoding="utf-8") as full:
            for arguments in (("list",), ("show", "r"), ("pause", "r", "--json"), ("watch", "r")):
                done = subprocess.run(
                    [program("gradctl"), "--server", self.grpc, *arguments], check=False,
                    stdout=full, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_SECONDS)
                self.assertEqual(done.returncode, 1)
                self.assertIn("cannot write to standard output", done.stderr)

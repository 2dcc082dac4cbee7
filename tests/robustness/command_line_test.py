"""Wrong use of the three programs: a message on standard error and the right exit code."""
import subprocess
import unittest

from gradd_process import TIMEOUT_SECONDS, program


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

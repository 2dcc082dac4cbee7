#!/usr/bin/env python3
"""A model of torch, saved by the official safetensors package, is trained by gradd and loaded again.

    official_torch.py BUILD

BUILD is a build of gradd. Run it with the Python that tests/python_environment.sh makes of requirements.txt.
"""
import os
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
if __name__ == "__main__":
    BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
    os.environ["GRADD_BIN"] = str(BUILD / "bin")
    # Last, for the packages of gRPC that Debian's Python has.
    sys.path += [str(HERE), str(HERE.parents[1] / "support/python"),
                 str(BUILD / "tests/support/python/stubs"), "/usr/lib/python3/dist-packages"]

import safetensors  # noqa: E402
import safetensors.torch  # noqa: E402
import torch  # noqa: E402

import weights_test  # noqa: E402

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


def model():
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.LayerNorm(7), torch.nn.Linear(7, 3))


class OfficialTest(weights_test.KeptTest):
    """Beside the tests of KeptTest, which it inherits."""

    def load(self, name):
        return safetensors.torch.load_file(self.path(name))

    def test_a_model_of_torch_goes_in_trains_and_comes_out(self):
        for name, dtype in DTYPES.items():
            state = {key: value.to(dtype) for key, value in model().state_dict().items()}
            safetensors.torch.save_file(state, self.path(name), {"format": "pt"})
            self.create(name, self.path(name))
            exact = {key: value.to(torch.float32) for key, value in state.items()}
            self.gradctl("pull", name, "--output", self.path("pulled.safetensors"))
            self.same(self.load("pulled.safetensors"), exact)
            self.train(name)
            exact = {key: value - 0.5 for key, value in exact.items()}
            for out, out_dtype in DTYPES.items():
                self.gradctl("export", name, self.path("out.safetensors"), "--dtype", out)
                loaded = self.load("out.safetensors")
                self.same(loaded, {key: value.to(out_dtype) for key, value in exact.items()})
                fresh = model().to(out_dtype)
                fresh.load_state_dict(loaded)
            self.gradctl("export", name, self.path("checkpoint.safetensors"))
            with safetensors.safe_open(self.path("checkpoint.safetensors"), "pt") as file:
                self.assertEqual(file.metadata()["step"], "1")
                self.same({key: file.get_tensor(key) for key in exact}, exact)

    def same(self, found, expected):
        self.assertEqual(found.keys(), expected.keys())
        for key, value in expected.items():
            self.assertEqual((found[key].dtype, found[key].shape), (value.dtype, value.shape), key)
            self.assertTrue(torch.equal(found[key], value), key)


def load_tests(loader, _tests, _pattern):
    return loader.loadTestsFromTestCase(OfficialTest)


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""The official safetensors package reads a checkpoint, and gradd reads what that package writes.

    official_reader_test.py CHECKPOINT_EXAMPLE

Names, shapes, types and values are those of the run, and the checksum can be computed by anyone. Run it with the
Python that tests/python_environment.sh makes of requirements.txt.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import safetensors
import safetensors.numpy
import xxhash

PIECE = 1 << 20


def run(*command):
    """Tensors that checkpoint_example prints, by their names."""
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {tensor['name']: tensor for tensor in map(json.loads, out.splitlines())}


def checksum(data):
    """As docs/format.md says."""
    pieces = b''.join(xxhash.xxh3_64_intdigest(data[at:at + PIECE]).to_bytes(8, 'little')
                      for at in range(0, len(data), PIECE))
    return xxhash.xxh3_128_digest(pieces)


def metadata_checksum(metadata):
    text = ''.join(f'{key}={len(metadata[key])}:{metadata[key]}' for key in sorted(metadata) if key != 'xxh3')
    return xxhash.xxh3_128_hexdigest(text.encode())


def check_checkpoint(example, path):
    expected = run(example, 'write', str(path))
    assert {'embedding/table', 'bias', 'scale', 'optimizer/first_moment/bias', 'window/scale',
            'optimizer/plan/next_step'} <= expected.keys(), expected.keys()
    with safetensors.safe_open(path, 'numpy') as file:
        names = set(file.keys())
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in names}
    assert names == expected.keys() | {'optimizer/checksum'}, names ^ expected.keys()
    types = set()
    for name, tensor in expected.items():
        found = tensors[name]
        assert list(found.shape) == tensor['shape'], (name, found.shape)
        types.add(str(found.dtype))
        assert numpy.array_equal(found, numpy.array(tensor['values'], found.dtype).reshape(found.shape)), name
    assert types == {'float32', 'float64', 'int64'} or types == {'float32', 'int64'}, types
    assert metadata['format'] == 'gradd' and metadata['run'] == 'example' and metadata['step'] == '1', metadata
    assert metadata['xxh3'] == metadata_checksum(metadata)
    data = path.read_bytes()
    assert tensors['optimizer/checksum'].tobytes() == checksum(data[:-16]) == data[-16:]


def check_reader(example, path):
    random = numpy.random.default_rng(1)
    saved = {
        'half': random.standard_normal((3, 5)).astype('float16'),
        'float': random.standard_normal((2, 3, 4)).astype('float32'),
        'scalar': numpy.array(1.5, 'float32'),
        'empty': numpy.zeros((0, 7), 'float32'),
        'größe': random.standard_normal(4).astype('float32'),
        'double': random.standard_normal(3),
        'count': numpy.arange(5),
    }
    safetensors.numpy.save_file(saved, path, {'format': 'np'})
    found = run(example, 'read', str(path))
    assert found.keys() == saved.keys(), found.keys()
    for name, tensor in saved.items():
        assert found[name]['shape'] == list(tensor.shape), name
        values = found[name]['values']
        if tensor.dtype in (numpy.float16, numpy.float32):
            assert numpy.array_equal(numpy.array(values, 'float32'), tensor.astype('float32').reshape(-1)), name
        else:
            assert 'F32, F16 or BF16 expected' in values, values


def main():
    example = sys.argv[1]
    with tempfile.TemporaryDirectory() as directory:
        check_checkpoint(example, pathlib.Path(directory) / 'checkpoint.safetensors')
        check_reader(example, pathlib.Path(directory) / 'saved.safetensors')
    print('the official reader reads a checkpoint, and its files are read')


if __name__ == '__main__':
    main()

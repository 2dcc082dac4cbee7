#!/usr/bin/env python3
"""Muon's time for a matrix of 1,024 x 1,024 over that of its products in torch, on one thread each.

    muon_over_torch.py OPTIMIZER_BENCHMARK

The products of matrices that Muon consists of: five
Newton-Schulz steps of three float32 products. In turns within one run; medians are compared. Prints
`muon_over_torch VALUE x`, and what the others take. Run it with the Python that
tests/python_environment.sh makes.
"""
import json
import statistics
import subprocess
import sys
import time

import torch

SIDE = 1024
ROUNDS = 3


def core(benchmark, name):
    """Milliseconds of a step."""
    out = subprocess.run([benchmark, f'--benchmark_filter=^{name}/side:{SIDE}$', '--benchmark_min_time=0.3',
                          '--benchmark_format=json'], check=True, capture_output=True, text=True).stdout
    return json.loads(out)['benchmarks'][0]['real_time']


def newton_schulz(x):
    x = x / x.norm()
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return x


def torch_products():
    torch.set_num_threads(1)
    x = torch.randn(SIDE, SIDE)
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        newton_schulz(x)
        times.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(times)


def main():
    benchmark, = sys.argv[1:]
    rounds = [(core(benchmark, 'muon'), torch_products()) for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(column) for column in zip(*rounds))
    for name in ('adafactor', 'sm3', 'shampoo'):
        print(f'{name}_matrix_ms {core(benchmark, name):.4g} ms')
    print(f'muon_matrix_ms {ours:.4g} ms')
    print(f'muon_torch_ms {theirs:.4g} ms')
    print(f'muon_over_torch {ours / theirs:.2f} x')


main()

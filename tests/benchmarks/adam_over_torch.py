#!/usr/bin/python3
"""Adam's parameters per second in gradd's core over those of torch.optim.Adam.

    adam_over_torch.py OPTIMIZER_BENCHMARK [--at-least RATIO] [--quick]

Both update 25 million float32 parameters on two threads, in turns within one run, with an in-place sweep
beside them; medians are compared. Prints `adam_over_torch VALUE x` and fails below RATIO (default 6),
unless Adam moves its bytes at 0.9 or more of the sweep's rate: then memory is the bound, and on a machine
whose memory is slow beside its processor no implementation reaches RATIO. Needs Debian's python3-torch.
"""
import argparse
import json
import statistics
import subprocess
import sys
import time

import torch

ELEMENTS = 25_000_000
ROUNDS = 5
THREADS = 2


def core(benchmark):
    """Adam's elements per second, and its bytes per second over the sweep's."""
    out = subprocess.run([benchmark, f'--benchmark_filter=^(sweep|adam)/threads:{THREADS}/',
                          '--benchmark_min_time=0.3', '--benchmark_format=json'],
                         check=True, capture_output=True, text=True).stdout
    sweep, adam = json.loads(out)['benchmarks']
    return adam['items_per_second'], adam['bytes_per_second'] / sweep['bytes_per_second']


def torch_adam():
    torch.set_num_threads(THREADS)
    p = torch.ones(ELEMENTS, requires_grad=True)
    p.grad = torch.full((ELEMENTS,), 1e-3)
    optimizer = torch.optim.Adam([p], lr=0.01)
    optimizer.step()
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        optimizer.step()
        times.append(time.perf_counter() - begin)
    return ELEMENTS / statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('benchmark')
    parser.add_argument('--at-least', type=float, default=6)
    parser.add_argument('--quick', action='store_true', help='fewer rounds')
    options = parser.parse_args()
    rounds = [(*core(options.benchmark), torch_adam()) for _ in range(2 if options.quick else ROUNDS)]
    ours, over_sweep, theirs = (statistics.median(column) for column in zip(*rounds))
    print(f'adam_core_rate {ours / 1e9:.3f} G/s')
    print(f'adam_torch_rate {theirs / 1e9:.3f} G/s')
    print(f'adam_kernel_over_sweep {over_sweep:.2f} x')
    print(f'adam_over_torch {ours / theirs:.2f} x')
    if ours < options.at_least * theirs and over_sweep < 0.9:
        sys.exit(f'adam_over_torch: {ours / theirs:.2f} is below {options.at_least}, and memory is not the bound')


main()

#!/usr/bin/python3
"""Adam's parameters per second in gradd's core over those of torch.optim.Adam.

    adam_over_torch.py OPTIMIZER_BENCHMARK [--at-least RATIO]

Both update 25 million float32 parameters on one thread, in turns within one run; the medians are
compared. Prints `adam_over_torch VALUE x` and fails below RATIO (default 6).
Needs Debian's python3-torch.
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


def core(benchmark):
    out = subprocess.run([benchmark, '--benchmark_filter=^adam/threads:1/', '--benchmark_min_time=0.3',
                          '--benchmark_format=json'], check=True, capture_output=True, text=True).stdout
    return json.loads(out)['benchmarks'][0]['items_per_second']


def torch_adam():
    torch.set_num_threads(1)
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
    options = parser.parse_args()
    rates = [(core(options.benchmark), torch_adam()) for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(column) for column in zip(*rates))
    print(f'adam_core_rate {ours / 1e9:.3f} G/s')
    print(f'adam_torch_rate {theirs / 1e9:.3f} G/s')
    print(f'adam_over_torch {ours / theirs:.2f} x')
    if ours < options.at_least * theirs:
        sys.exit(f'adam_over_torch: {ours / theirs:.2f} is below {options.at_least}')


main()

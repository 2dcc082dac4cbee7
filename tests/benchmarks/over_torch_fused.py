#!/usr/bin/env python3
"""Parameters per second of gradd's kernels over those of torch's fused optimizers.

    over_torch_fused.py OPTIMIZER_BENCHMARK [--at-least RATIO] [--quick]

Adam, AdamW, SGD and Adagrad, which torch has with fused=True, its fastest form on a CPU. Both sides update 25
million float32 parameters on two threads, in processes of their own which are warmed up before anything counts,
in turns within one run, with an in-place sweep beside each; medians are compared. Prints `NAME_over_torch_fused VALUE x`,
and fails if one is below RATIO (default 1.0), unless it moves its bytes at 0.9 or more of the sweep's rate: then
memory is the bound. Run it with the Python that tests/python_environment.sh makes.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import torch

ELEMENTS = 25_000_000
THREADS = 2
# gradd's row of the table of optimizers, and torch's.
OPTIMIZERS = {
    'adam': lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
    'adam_w': lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    'sgd': lambda p: torch.optim.SGD(p, lr=0.01, fused=True),
    'ada_grad': lambda p: torch.optim.Adagrad(p, lr=0.01, fused=True),
}


def ours(benchmark):
    """Of each: elements per second, and bytes per second over the sweep's."""
    names = '|'.join(['sweep', *OPTIMIZERS])
    out = subprocess.run([benchmark, f'--benchmark_filter=^({names})/threads:{THREADS}/',
                          '--benchmark_min_time=0.3', '--benchmark_format=json'],
                         check=True, capture_output=True, text=True).stdout
    rows = {row['name'].split('/')[0]: row for row in json.loads(out)['benchmarks']}
    sweep = rows['sweep']['bytes_per_second']
    return {name: (rows[name]['items_per_second'], rows[name]['bytes_per_second'] / sweep) for name in OPTIMIZERS}


class Torch:
    """One optimizer of torch, warmed up."""

    def __init__(self, make):
        p = torch.ones(ELEMENTS, requires_grad=True)
        p.grad = torch.full((ELEMENTS,), 1e-3)
        self.optimizer = make([p])
        for _ in range(3):
            self.optimizer.step()

    def rate(self):
        times = []
        for _ in range(10):
            begin = time.perf_counter()
            self.optimizer.step()
            times.append(time.perf_counter() - begin)
        return ELEMENTS / statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('benchmark')
    parser.add_argument('--at-least', type=float, default=1)
    parser.add_argument('--quick', action='store_true', help='fewer rounds')
    options = parser.parse_args()
    os.environ.pop('OMP_NUM_THREADS', None)
    torch.set_num_threads(THREADS)
    rounds = 3 if options.quick else 7
    theirs = {name: Torch(make) for name, make in OPTIMIZERS.items()}
    measured = []
    for _ in range(rounds):
        measured.append((ours(options.benchmark), {name: side.rate() for name, side in theirs.items()}))
    slow = []
    for name in OPTIMIZERS:
        rate = statistics.median(one[name][0] for one, _ in measured)
        over_sweep = statistics.median(one[name][1] for one, _ in measured)
        torch_rate = statistics.median(other[name] for _, other in measured)
        print(f'{name}_core_rate {rate / 1e9:.3f} G/s')
        print(f'{name}_torch_rate {torch_rate / 1e9:.3f} G/s')
        print(f'{name}_kernel_over_sweep {over_sweep:.2f} x')
        print(f'{name}_over_torch_fused {rate / torch_rate:.2f} x')
        if rate < options.at_least * torch_rate and over_sweep < 0.9:
            slow.append(f'{name}_over_torch_fused is {rate / torch_rate:.2f}, below {options.at_least}, '
                        f'and memory is not the bound')
    if slow:
        sys.exit('\n'.join(slow))


main()

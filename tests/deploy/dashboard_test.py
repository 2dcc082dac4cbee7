#!/usr/bin/env python3
"""Puts every query of the dashboard to a real Prometheus that scraped a real run.

    dashboard_test.py BIN_DIR DASHBOARD.json [--hold FILE]

BIN_DIR has gradd, gradctl and gradworker. An error or an empty answer fails. With --hold, the
servers stay up until FILE is removed; it gets Prometheus's address first.
Needs Debian's `prometheus` (with promtool). Everything listens on free loopback ports.
"""
import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

DEADLINE_SECONDS = 60


def until(what, condition):
    """Asks again and again, because another process has to get there; never for long."""
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.1)
    sys.exit(f'dashboard_test: {what} did not happen within {DEADLINE_SECONDS} s')


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()
    except OSError:
        return None


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class Processes:
    """Ends what it started, whatever happens."""

    def __init__(self, directory):
        self.directory = directory
        self.started = []

    def start(self, name, *command):
        log = open(os.path.join(self.directory, name + '.log'), 'w')
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        self.started.append(process)
        return process

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.started):
            process.terminate()
        for process in reversed(self.started):
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()


def queries(dashboard):
    with open(dashboard) as file:
        panels = json.load(file)['panels']
    for panel in panels:
        for target in panel.get('targets', []):
            expression = target['expr'].replace('$run', '.*').replace('$__rate_interval', '4s')
            unknown = re.search(r'\$\w+', expression)
            if unknown:
                sys.exit(f'dashboard_test: unknown variable {unknown.group()} in "{panel["title"]}"')
            yield panel['title'], expression


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('bin_dir')
    parser.add_argument('dashboard')
    parser.add_argument('--hold')
    options = parser.parse_args()
    program = lambda name: os.path.join(options.bin_dir, name)
    model = ['--model', 'mlp', '--hidden', '32', '--data', 'synthetic']

    with tempfile.TemporaryDirectory() as directory, Processes(directory) as processes:
        ready = os.path.join(directory, 'ready')
        processes.start('gradd', program('gradd'), '--listen', '127.0.0.1:0', '--http', '127.0.0.1:0',
                        '--ready-file', ready)
        until('gradd to serve', lambda: os.path.exists(ready))
        with open(ready) as file:
            addresses = dict(line.strip().split('=', 1) for line in file)

        layout = subprocess.run([program('gradworker'), *model, '--print-layout'], check=True, text=True,
                                capture_output=True).stdout
        subprocess.run([program('gradctl'), '--server', addresses['grpc'], 'create', 'dashboard', '--layout', '-',
                        '--optimizer', 'adam', '--learning-rate', '0.01', '--schedule', 'exponential',
                        '--decay-rate', '0.5', '--decay-steps', '500', '--workers', '2', '--steps', '1000000'],
                       input=layout, check=True, text=True, stdout=subprocess.DEVNULL)
        for rank in ('0', '1'):
            processes.start('worker' + rank, program('gradworker'), '--server', addresses['grpc'], '--run', 'dashboard',
                            '--rank', rank, '--workers', '2', *model, '--eval-every', '100')

        port = free_port()
        config = os.path.join(directory, 'prometheus.yml')
        with open(config, 'w') as file:
            file.write('global: {scrape_interval: 1s}\n'
                       f'scrape_configs: [{{job_name: gradd, static_configs: [{{targets: ["{addresses["http"]}"]}}]}}]\n')
        subprocess.run(['promtool', 'check', 'config', config], check=True, stdout=subprocess.DEVNULL)
        processes.start('prometheus', 'prometheus', '--config.file=' + config,
                        '--storage.tsdb.path=' + os.path.join(directory, 'tsdb'), f'--web.listen-address=127.0.0.1:{port}')
        prometheus = f'http://127.0.0.1:{port}'

        def ask(expression):
            answer = get(prometheus + '/api/v1/query?' + urllib.parse.urlencode({'query': expression}))
            answer = json.loads(answer) if answer else {}
            return answer.get('data', {}).get('result', [])

        # Rates need a few scrapes, and the newest panel the first evaluation.
        until('an evaluation', lambda: ask('gradd_run_evaluation_accuracy'))
        until('four scrapes', lambda: any(float(r['value'][1]) >= 4 for r in ask('count_over_time(gradd_run_step[1m])')))

        metrics = get(f'http://{addresses["http"]}/metrics')
        checked = subprocess.run(['promtool', 'check', 'metrics'], input=metrics, text=True, capture_output=True)
        failures = [f'promtool check metrics: {line}' for line in (checked.stdout + checked.stderr).splitlines()]
        count = 0
        for title, expression in queries(options.dashboard):
            count += 1
            values = [sample['value'][1] for sample in ask(expression)]
            if not values or all(value == 'NaN' for value in values):
                failures.append(f'"{title}": {expression} has no answer')
        for failure in failures:
            print('FAILED', failure)
        print(f'{count} queries, {len(failures)} failures')
        if options.hold:
            with open(options.hold, 'w') as file:
                file.write(prometheus)
            while os.path.exists(options.hold):
                time.sleep(0.5)
        sys.exit(1 if failures or count == 0 else 0)


main()

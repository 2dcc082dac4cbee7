#!/usr/bin/env python3
"""Puts every query of the dashboard to a real Prometheus that scraped two servers, each with runs of
the same names and workers of the same ids.

    dashboard_test.py BIN_DIR DASHBOARD.json [--hold FILE]

BIN_DIR has gradd, gradctl and gradworker. An error, an empty answer, or series of a panel that would
look the same in its legend or table fail; so does a dashboard that hides the runs that need somebody,
or that shows beside other runs' numbers those of one that diverged. With --hold, the
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

DEADLINE_SECONDS = 120


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


def targets(panel):
    """The panel's queries: each with its expression as Prometheus gets it."""
    for target in panel.get('targets', []):
        expression = target['expr']
        for variable, value in (('$run', '.*'), ('$server', '.*'), ('$__rate_interval', '4s')):
            expression = expression.replace(variable, value)
        unknown = re.search(r'\$\w+', expression)
        if unknown:
            sys.exit(f'dashboard_test: unknown variable {unknown.group()} in "{panel["title"]}"')
        yield target, expression


def queries(dashboard):
    with open(dashboard) as file:
        panels = json.load(file)['panels']
    for panel in panels:
        for target, expression in targets(panel):
            yield panel, target, expression


def names(panel, target, series):
    """What people see of each series: its legend, or its row of a table without the value."""
    hidden = {}
    for transformation in panel.get('transformations', []):
        hidden.update(transformation['options'].get('excludeByName', {}))
    for metric in series:
        if target.get('format') == 'table':
            yield tuple(sorted((label, value) for label, value in metric.items() if not hidden.get(label)))
        else:
            yield re.sub(r'{{(\w+)}}', lambda label, metric=metric: metric.get(label.group(1), ''), target['legendFormat'])


def rows(panel, ask):
    """A table's rows, as its transformations merge and sort them; a row is {column: value}."""
    transformations = {entry['id']: entry['options'] for entry in panel['transformations']}
    merged = {}
    for target, expression in targets(panel):
        for sample in ask(expression):
            row = merged.setdefault((sample['metric']['instance'], sample['metric']['run']), {})
            row.update(sample['metric'])
            row['Value #' + target['refId']] = float(sample['value'][1])
    sort = transformations['sortBy']['sort'][0]
    renamed = transformations['organize']['renameByName']
    return [{renamed.get(column, column): value for column, value in row.items()}
            for row in sorted(merged.values(), key=lambda row: row[sort['field']], reverse=sort['desc'])]


def what_people_would_miss(dashboard, ask):
    """Failures: what does not show on the dashboard though it should, or the reverse."""
    with open(dashboard) as file:
        panels = {panel['title']: panel for panel in json.load(file)['panels']}

    shown = rows(panels['What the runs do'], ask)
    expected = ['diverged'] * 2 + ['no_workers'] * 2 + ['training'] * 2
    if [row['condition'] for row in shown] != expected:
        yield f'"What the runs do" has {[row["condition"] for row in shown]}, {expected} expected'
    reasons = {'diverged': 'its best since step', 'no_workers': 'w0, left', 'training': ''}
    for row in shown:
        if reasons[row['condition']] not in row.get('why', ''):
            yield f'"What the runs do": why is {row.get("why", "")!r} for a run in {row["condition"]}'
        if not 0 <= time.time() - row['since'] / 1000 <= 2 * DEADLINE_SECONDS:
            yield f'"What the runs do": since is {row["since"]} for a run in {row["condition"]}'
        if row['of'] != (0 if row['run'] == 'lonely' else 1000000) or row['step'] < 1:
            yield f'"What the runs do": {row["run"]} is at step {row["step"]} of {row["of"]}'

    counts = {}
    for target, expression in targets(panels['Runs']):
        counts[target['legendFormat']] = [sample['value'][1] for sample in ask(expression)]
    for name, count in (('training', '2'), ('diverged', '2'), ('no workers', '2'), ('waiting', '0'), ('paused', '0')):
        if counts.get(name) != [count]:
            yield f'"Runs": {name} is {counts.get(name)}, {count} expected'

    def runs_of(title):
        return {sample['metric']['run'] for _, expression in targets(panels[title]) for sample in ask(expression)}
    for title in ('Loss', 'Smoothed loss', 'Gradient and update norm', 'Parameter norm'):
        if runs_of(title) != {'trains', 'lonely'}:
            yield f'"{title}" shows {runs_of(title)}, a run that diverged does not belong there'
    if runs_of('Runs that diverged') != {'diverges'}:
        yield f'"Runs that diverged" shows {runs_of("Runs that diverged")}'
    if runs_of('Progress') != {'trains', 'lonely', 'diverges'}:
        yield f'"Progress" shows {runs_of("Progress")}, all runs expected, also those without an end'


def start_server(processes, directory, name, program, model):
    """A server with a run that trains, one that diverged and one whose worker left; its addresses."""
    ready = os.path.join(directory, name + '.ready')
    processes.start(name, program('gradd'), '--listen', '127.0.0.1:0', '--http', '127.0.0.1:0', '--ready-file', ready)
    until(f'{name} to serve', lambda: os.path.exists(ready))
    with open(ready) as file:
        addresses = dict(line.strip().split('=', 1) for line in file)
    gradctl = [program('gradctl'), '--server', addresses['grpc']]
    # A tenth more than the last at every step, so that its loss grows and stays finite.
    bowl = ['--model', 'landscape', '--landscape', 'bowl']
    for run, model_of_run, *options in (
            ('trains', model, '--optimizer', 'adam', '--learning-rate', '0.001', '--workers', '2', '--steps', '1000000'),
            ('lonely', model, '--optimizer', 'adam', '--learning-rate', '0.01', '--workers', '1'),
            ('diverges', bowl, '--optimizer', 'sgd', '--learning-rate', '0.7', '--workers', '1', '--steps', '1000000')):
        layout = subprocess.run([program('gradworker'), *model_of_run, '--print-layout'], check=True, text=True,
                                capture_output=True).stdout
        subprocess.run([*gradctl, 'create', run, '--layout', '-', *options], input=layout, check=True, text=True,
                       stdout=subprocess.DEVNULL)

    def worker(run, rank, workers, model, *options):
        return processes.start(f'{name}.{run}.{rank}', program('gradworker'), '--server', addresses['grpc'], '--run', run,
                               '--rank', str(rank), '--workers', str(workers), *model, *options)

    for rank in range(2):
        worker('trains', rank, 2, model, '--eval-every', '20')
    worker('diverges', 0, 1, bowl, '--steps', '400')
    leaver = worker('lonely', 0, 1, model)

    def progress(run):
        shown = subprocess.run([*gradctl, 'show', run, '--json'], check=True, text=True, capture_output=True).stdout
        return json.loads(shown)['progress']
    until('a step of "lonely"', lambda: int(progress('lonely')['step']) > 0)
    leaver.terminate()
    until('the condition of "lonely"', lambda: progress('lonely')['condition'] == 'RUN_CONDITION_NO_WORKERS')
    until('the condition of "diverges"', lambda: progress('diverges')['condition'] == 'RUN_CONDITION_DIVERGED')
    return addresses


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('bin_dir')
    parser.add_argument('dashboard')
    parser.add_argument('--hold')
    options = parser.parse_args()
    program = lambda name: os.path.join(options.bin_dir, name)
    # So much noise that the loss does not come to nothing: at 0, any rise is a large one.
    model = ['--model', 'mlp', '--hidden', '32', '--data', 'synthetic', '--noise', '4']

    with tempfile.TemporaryDirectory() as directory, Processes(directory) as processes:
        addresses = [start_server(processes, directory, f'gradd{i}', program, model) for i in range(2)]

        port = free_port()
        config = os.path.join(directory, 'prometheus.yml')
        with open(config, 'w') as file:
            file.write('global: {scrape_interval: 1s}\n'
                       'scrape_configs: [{job_name: gradd, static_configs: [{targets: '
                       f'{json.dumps([server["http"] for server in addresses])}}}]}}]\n')
        subprocess.run(['promtool', 'check', 'config', config], check=True, stdout=subprocess.DEVNULL)
        processes.start('prometheus', 'prometheus', '--config.file=' + config,
                        '--storage.tsdb.path=' + os.path.join(directory, 'tsdb'), f'--web.listen-address=127.0.0.1:{port}')
        prometheus = f'http://127.0.0.1:{port}'

        def ask(expression):
            answer = get(prometheus + '/api/v1/query?' + urllib.parse.urlencode({'query': expression}))
            answer = json.loads(answer) if answer else {}
            return answer.get('data', {}).get('result', [])

        # Rates need a few scrapes, and the newest panel the first evaluation.
        until('an evaluation on each server', lambda: len(ask('gradd_run_evaluation_accuracy{run="trains"}')) == 2)
        until('four scrapes of each server', lambda: len([
            r for r in ask('count_over_time(gradd_run_steps_total{run="trains"}[1m])') if float(r['value'][1]) >= 4]) == 2)

        metrics = get(f'http://{addresses[0]["http"]}/metrics')
        checked = subprocess.run(['promtool', 'check', 'metrics'], input=metrics, text=True, capture_output=True)
        failures = [f'promtool check metrics: {line}' for line in (checked.stdout + checked.stderr).splitlines()]
        count = 0
        for panel, target, expression in queries(options.dashboard):
            count += 1
            answer = ask(expression)
            values = [sample['value'][1] for sample in answer]
            if not values or all(value == 'NaN' for value in values):
                failures.append(f'"{panel["title"]}": {expression} has no answer')
            shown = list(names(panel, target, [sample['metric'] for sample in answer]))
            if len(set(shown)) != len(shown):
                failures.append(f'"{panel["title"]}": {expression} has series that look the same: {sorted(shown)}')
        failures += what_people_would_miss(options.dashboard, ask)
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

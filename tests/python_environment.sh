#!/usr/bin/env bash
# Makes a virtual environment with the packages of a requirements file, once, and prints its Python:
#   python=$(tests/python_environment.sh tests/benchmarks/requirements.txt)
# It is kept in ~/.cache/gradd (or $XDG_CACHE_HOME/gradd), by what is in the file: a clone made anew uses
# it again, and another file gets another one. Where packages come from is pip's own configuration.
set -euo pipefail

requirements=$1
base=/usr/bin/python3
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gradd
key=$({ "$base" --version && cat "$requirements"; } | sha256sum | cut -c 1-16)
environment=$cache/python-$key

mkdir -p "$cache"
exec 9>"$environment.lock"
flock 9 # Whoever comes second waits, and finds it made.
if [ ! -e "$environment/complete" ]; then
  rm -rf "$environment"
  {
    "$base" -m venv "$environment"
    "$environment/bin/python" -m pip install --quiet --no-cache-dir --requirement "$requirements"
  } >&2
  touch "$environment/complete"
fi
echo "$environment/bin/python"

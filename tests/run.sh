#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test. Ends with ctest's summary.
#   tests/run.sh [PRESET]     release (default), debug, asan-ubsan or tsan
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-release}

deploy/packages.sh build data pictures test
# Compiled files are found again in a clone at another place.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
cmake --preset "$preset" --log-level=WARNING
cmake --build --preset "$preset" -- --quiet
printf -- '-- built: %d s\n' "$SECONDS"
ctest --preset "$preset" --progress

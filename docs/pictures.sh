#!/usr/bin/env bash
# Draws the pictures of which-optimizer.md anew, over a server and a worker of its own on loopback.
# Installs and builds what is missing; takes some minutes.
#
#   docs/pictures.sh
set -euo pipefail
cd "$(dirname "$0")/.."

deploy/packages.sh build data pictures
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
cmake --preset release -DBUILD_TESTING=OFF --log-level=WARNING >/dev/null
cmake --build --preset release --target gradd gradctl gradworker -- --quiet
export PATH=$PWD/build/release/bin:$PATH

scratch=$(mktemp -d)
pids=()
# Ends what was started, by id.
cleanup() {
  trap - EXIT
  for pid in "${pids[@]}"; do
    kill -TERM "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  rm -rf "$scratch"
}
trap cleanup EXIT

gradd --listen 127.0.0.1:0 --http "" --ready-file "$scratch/ready" >"$scratch/gradd.log" 2>&1 &
pids+=($!)
until [ -s "$scratch/ready" ]; do sleep 0.1; done
GRADD_SERVER=$(sed -n 's/^grpc=//p' "$scratch/ready")
export GRADD_SERVER

# A run that only the trials train.
model=(--model mlp --hidden 128 --data fashion-mnist)
gradworker "${model[@]}" --print-layout |
  gradctl create fashion --layout - --optimizer sgd --learning-rate 0.1 --workers 1
gradctl pause fashion
gradworker "${model[@]}" --run fashion >"$scratch/gradworker.log" 2>&1 &
pids+=($!)

# The commands are those that which-optimizer.md shows.
grep '^\$ gradctl .*--svg' docs/which-optimizer.md | sed 's/^\$ //' >"$scratch/commands"
cd docs/pictures
while read -r command; do
  echo "$command"
  bash -c "$command" </dev/null >"$scratch/output"
done <"$scratch/commands"

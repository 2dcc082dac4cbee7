#!/usr/bin/env bash
# Trains a classifier of Fashion-MNIST with two worker processes and shows how it goes.
# Installs and builds what is missing; a second run starts in seconds.
#
#   deploy/quickstart.sh          leaves nothing running
#   deploy/quickstart.sh --keep   leaves the server up, with the trained run
set -euo pipefail
cd "$(dirname "$0")/.."

keep=false
case ${1:-} in
  "") ;;
  --keep) keep=true ;;
  --help)
    sed -n '2,6s/^# \{0,1\}//p' deploy/quickstart.sh
    exit 0
    ;;
  *)
    echo "quickstart: unknown option \"$1\", --keep or --help expected" >&2
    exit 2
    ;;
esac

model=(--data fashion-mnist --model mlp --hidden 256)
workers=2
batch=128
steps=5000
run=fashion

dir=build/quickstart
bin=build/release/bin
mkdir -p "$dir"
# Of this server alone: one that was kept has its own.
state=$(mktemp -d "$dir/state.XXXXXX")
pids=()
server_pid=

fail() {
  echo "quickstart: $1" >&2
  exit 1
}

# Ends what was started, by id, and waits until it is gone.
cleanup() {
  trap - EXIT INT TERM
  local pid
  for pid in "${pids[@]}" $server_pid; do
    kill -TERM "$pid" 2>/dev/null || true
  done
  for pid in "${pids[@]}" $server_pid; do
    wait "$pid" 2>/dev/null || true
  done
  [ -z "$state" ] || rm -rf "$state"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

deploy/packages.sh build data
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
[ -x "$bin/gradd" ] && [ -x "$bin/gradctl" ] && [ -x "$bin/gradworker" ] ||
  echo "building, this takes a few minutes the first time"
{
  cmake --preset release -DBUILD_TESTING=OFF --log-level=WARNING &&
    cmake --build --preset release --target gradd gradctl gradworker -- --quiet
} >"$dir/build.log" 2>&1 || {
  tail -n 20 "$dir/build.log" >&2
  fail "the build failed; see $dir/build.log"
}

rm -f "$dir/ready"
"$bin/gradd" --listen 127.0.0.1:0 --http 127.0.0.1:0 --ready-file "$dir/ready" --state-dir "$state" \
  >"$dir/gradd.log" 2>&1 &
server_pid=$!
for _ in $(seq 100); do
  [ -e "$dir/ready" ] && break
  kill -0 "$server_pid" 2>/dev/null || fail "gradd did not start; see $dir/gradd.log"
  sleep 0.1
done
[ -e "$dir/ready" ] || fail "gradd did not get ready within 10 s; see $dir/gradd.log"
grpc=$(sed -n 's/^grpc=//p' "$dir/ready")
http=$(sed -n 's/^http=//p' "$dir/ready")
echo "gradd serves gRPC on $grpc and metrics on http://$http/metrics"

"$bin/gradworker" "${model[@]}" --print-layout >"$dir/layout.json"
"$bin/gradctl" --server "$grpc" create "$run" --layout "$dir/layout.json" --optimizer adam \
  --learning-rate 0.002 --schedule exponential --decay-rate 0.5 --decay-steps 1000 \
  --workers "$workers" --steps "$steps" >/dev/null

begin=$(date +%s.%N)
for rank in $(seq 0 $((workers - 1))); do
  "$bin/gradworker" --server "$grpc" --run "$run" --rank "$rank" --workers "$workers" \
    "${model[@]}" --batch "$batch" --eval-every 500 >"$dir/worker$rank.log" 2>&1 &
  pids+=($!)
done
"$bin/gradctl" --server "$grpc" watch "$run" &
watch_pid=$!
pids+=("$watch_pid")
wait "$watch_pid" || fail "the run did not finish; see $dir/*.log"
for rank in $(seq 0 $((workers - 1))); do
  wait "${pids[$rank]}" || fail "worker $rank failed; see $dir/worker$rank.log"
done
seconds=$(awk -v a="$begin" -v b="$(date +%s.%N)" 'BEGIN { printf "%.0f", b - a }')
accuracy=$(sed -n 's/.* test accuracy \([0-9.]*\).*/\1/p' "$dir/worker0.log" | tail -n 1)
[ -n "$accuracy" ] || fail "no evaluation; see $dir/worker0.log"

if $keep; then
  echo "the server stays up: $bin/gradctl --server $grpc show $run"
  echo "stop it with: kill $server_pid"
  echo "its runs are kept in $state"
  disown "$server_pid"
  server_pid=
  state=
fi
echo "test accuracy $accuracy after $steps steps in $seconds s"

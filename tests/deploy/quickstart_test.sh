#!/usr/bin/env bash
# Runs the quickstart as a user would: to its end, again, and interrupted. It must reach its
# accuracy in time and leave no process behind.
set -euo pipefail
cd "$(dirname "$0")/../.."

log=$(mktemp)
pid=
cleanup() {
  [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
  rm -f "$log"
}
trap cleanup EXIT
fail() {
  cat "$log"
  echo "quickstart_test: $1" >&2
  exit 1
}
# Programs of this clone that run.
left_over() {
  local pid
  for pid in $(pgrep -f "^build/release/bin/grad"); do
    [ "$(readlink "/proc/$pid/cwd")" != "$PWD" ] || echo "$pid"
  done
}

[ -z "$(left_over)" ] || fail "programs of this clone run already: $(left_over)"

code=0
deploy/quickstart.sh --bogus 2>"$log" </dev/null || code=$?
[ "$code" = 2 ] || fail "exit code $code after --bogus"
grep -q 'unknown option "--bogus"' "$log" || fail "--bogus is not named"

deploy/quickstart.sh >"$log" 2>&1 </dev/null || fail "it failed"
last=$(tail -n 1 "$log")
[[ $last =~ ^test\ accuracy\ (0\.[0-9]{4})\ after\ [0-9]+\ steps\ in\ ([0-9]+)\ s$ ]] ||
  fail "it ends with \"$last\""
accuracy=${BASH_REMATCH[1]} seconds=${BASH_REMATCH[2]}
awk -v a="$accuracy" 'BEGIN { exit !(a >= 0.885) }' || fail "accuracy $accuracy, at least 0.885 expected"
[ "$seconds" -le 90 ] || fail "$seconds s of training, at most 90 expected"
[ -z "$(left_over)" ] || fail "it left processes behind: $(left_over)"

for signal in INT TERM; do
  # A shell starts what is in the background with SIGINT ignored; a terminal does not.
  : >"$log"
  env --default-signal=INT,TERM deploy/quickstart.sh >"$log" 2>&1 </dev/null &
  pid=$!
  for _ in $(seq 600); do
    grep -q "step [1-9]" "$log" && break
    kill -0 "$pid" 2>/dev/null || fail "it ended before it was interrupted"
    sleep 0.1
  done
  grep -q "step [1-9]" "$log" || fail "no progress within 60 s"
  kill -"$signal" "$pid"
  code=0
  wait "$pid" || code=$?
  pid=
  expected=143
  [ "$signal" != INT ] || expected=130
  [ "$code" = "$expected" ] || fail "exit code $code after SIG$signal, expected $expected"
  [ -z "$(left_over)" ] || fail "after SIG$signal it left processes behind: $(left_over)"
done

deploy/quickstart.sh --keep >"$log" 2>&1 </dev/null || fail "--keep failed"
server=$(left_over)
[ "$(wc -w <<<"$server")" = 1 ] || fail "--keep: expected one process, found: $server"
grep -q "kill $server" "$log" || fail "--keep does not say how to stop the server"
kill -TERM "$server"
for _ in $(seq 150); do
  [ -z "$(left_over)" ] && break
  sleep 0.1
done
[ -z "$(left_over)" ] || fail "the kept server did not stop"
echo "$last"

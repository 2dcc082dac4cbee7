#!/usr/bin/env bash
# Builds the fuzzers and lets each search for some seconds, from the corpus that is checked in and what
# earlier searches on this machine found (build/fuzz/corpora). Fails if one finds something, and says
# in which file it is.
#   tests/fuzz/run.sh [SECONDS] [NAME...]    15 seconds each; parse, frame, page_request, safetensors, log
#   tests/fuzz/run.sh --renew                writes the corpora that are checked in anew
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=15
renew=false
if [ "${1:-}" = --renew ]; then
  renew=true
  shift
elif [ $# -gt 0 ]; then
  seconds=$1
  shift
fi
[ $# -gt 0 ] || set -- parse frame page_request safetensors log

deploy/packages.sh build test fuzz
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
cmake --preset fuzz --log-level=WARNING
cmake --build --preset fuzz -- --quiet

# One line of hexadecimal digits for each input, in corpus/NAME.txt, and a file for each, as libFuzzer
# wants them.
unpack='
import hashlib, pathlib, sys
for line in open(sys.argv[1]):
    data = bytes.fromhex(line)
    (pathlib.Path(sys.argv[2]) / hashlib.sha1(data).hexdigest()).write_bytes(data)
'
pack='
import pathlib, sys
inputs = sorted((file.read_bytes() for file in pathlib.Path(sys.argv[1]).iterdir()), key=lambda data: (len(data), data))
open(sys.argv[2], "w").writelines(data.hex() + "\n" for data in inputs)
'
corpora=build/fuzz/corpora
findings=build/fuzz/findings
mkdir -p "$findings"
for name; do
  fuzzer=build/fuzz/tests/fuzz/${name}_fuzzer
  mkdir -p "$corpora/$name"
  python3 -c "$unpack" "tests/fuzz/corpus/$name.txt" "$corpora/$name"
  if $renew; then
    fewest=$(mktemp -d)
    "$fuzzer" -set_cover_merge=1 -max_len=200 "$fewest" "$corpora/$name" 2>/dev/null
    python3 -c "$pack" "$fewest" "tests/fuzz/corpus/$name.txt"
    rm -r "$fewest"
    echo "$name: $(wc -l <"tests/fuzz/corpus/$name.txt") inputs"
    continue
  fi
  echo "$name: $seconds s"
  "$fuzzer" -max_total_time="$seconds" -max_len=512 -timeout=10 -use_value_profile=1 -verbosity=0 \
    -print_final_stats=1 -artifact_prefix="$findings/$name-" "$corpora/$name" 2>&1 |
    sed '/^###/d; /# Uses: /d'
done

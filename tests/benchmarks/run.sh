#!/usr/bin/env bash
# Builds, measures, and prints one line `name value unit` per figure; README.md beside it explains them.
#   tests/benchmarks/run.sh [--quick] [--check]
#     --quick  fewer repetitions, and without the run of a billion parameters: within two minutes
#     --check  fail, naming every figure that misses its bound
set -euo pipefail
cd "$(dirname "$0")/../.."

quick=() check=
for option in "$@"; do
  case $option in
    --quick) quick=(--quick) ;;
    --check) check=1 ;;
    *)
      echo "run.sh: no option \"$option\"; there are --quick and --check" >&2
      exit 2
      ;;
  esac
done

bounds='
tcp_step_over_stream <= 1.25
shm_step_over_tcp_step <= 0.3
first_shm_step_over_shm_step <= 15
topk_push_over_f32_push <= 0.1
two_workers_over_one <= 2.0
small_step_over_pingpong <= 1.5
adam_over_sweep >= 0.9
sgd_over_sweep >= 0.9
adam_over_torch_fused >= 1
adam_w_over_torch_fused >= 1
sgd_over_torch_fused >= 1
ada_grad_over_torch_fused >= 1
muon_over_torch <= 3
tcp_step_over_raw <= 1.5
bf16_step_over_raw <= 1.5
int8_step_over_raw <= 1.5
shm_step_over_sweep <= 2
optimizers_below_sweep <= 0
longest_step_over_creation <= 0.5
small_run_beside_large <= 3
measured_merge_over_unmeasured <= 1.3
quorum_over_four_alone >= 0.9
asynchronous_over_sum >= 0.95
bounded_over_sum >= 0.95
checkpoint_slowdown <= 1.05
checkpoint_extra_memory <= 1.1
recovery_over_read <= 2
rows_step_over_whole_step <= 0.03
rows_10000_over_1000 <= 12
rows_of_large_over_small <= 2
push_rate_1000_over_10 >= 0.5
idle_session_kib <= 64
billion_rss_gb <= 17.5
block_allocations_per_step <= 0
server_page_faults_per_step <= 100
client_page_faults_per_step <= 100
'

export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
{
  deploy/packages.sh build test torch
  cmake --preset release --log-level=WARNING
  cmake --build --preset release --target gradd gradd_benchmark optimizer_benchmark -- --quiet
} >&2

results=$(mktemp)
trap 'rm -f "$results"' EXIT
programs=build/release/tests/benchmarks
# One process per group: none runs in what another one left of its memory.
groups=(step first_shared_step page_faults two_workers small_step update optimizers fairness beside measurements policies durability
  rows push_rate idle_sessions)
[ ${#quick[@]} -gt 0 ] || groups+=(billion)
for group in "${groups[@]}"; do
  "$programs/gradd_benchmark" "${quick[@]}" --gradd build/release/bin/gradd "$group" | tee -a "$results"
done
if python=$(tests/python_environment.sh tests/benchmarks/requirements.txt); then
  "$python" tests/benchmarks/over_torch_fused.py "${quick[@]}" --at-least 0 "$programs/optimizer_benchmark" |
    tee -a "$results"
  "$python" tests/benchmarks/muon_over_torch.py "$programs/optimizer_benchmark" | tee -a "$results"
else
  echo "run.sh: no torch, so nothing is compared with it" >&2
fi
[ -n "$check" ] || exit 0

awk -v bounds="$bounds" '
  { value[$1] = $2 }
  END {
    count = split(bounds, line, "\n")
    for (i = 1; i <= count; ++i) {
      if (split(line[i], word, " ") != 3) continue
      if (!(word[1] in value)) {
        print "not measured: " word[1] > "/dev/stderr"
        continue
      }
      met = word[2] == "<=" ? value[word[1]] <= word[3] : value[word[1]] >= word[3]
      if (met) continue
      print "MISSED: " word[1] " is " value[word[1]] ", expected " word[2] " " word[3]
      missed = 1
    }
    exit missed
  }' "$results"

#include "server/metrics.h"

#include <algorithm>
#include <limits>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "core/base/version.h"

namespace gradd {
namespace {

using Labels = std::vector<prometheus::ClientMetric::Label>;

// The families of one scrape, in the order in which they first get a value.
class Families {
 public:
  void Gauge(const char* name, const char* help, Labels labels, double value) {
    Add(name, help, prometheus::MetricType::Gauge, std::move(labels)).gauge.value = value;
  }
  void Counter(const char* name, const char* help, Labels labels, double value) {
    Add(name, help, prometheus::MetricType::Counter, std::move(labels)).counter.value = value;
  }
  void Histogram(const char* name, const char* help, Labels labels,
                 const SecondsHistogram& histogram) {
    auto& metric = Add(name, help, prometheus::MetricType::Histogram, std::move(labels)).histogram;
    uint64_t cumulative = 0;
    for (size_t i = 0; i < histogram.counts().size(); ++i) {
      cumulative += histogram.counts()[i];
      const double bound = i < SecondsHistogram::kBounds.size()
                               ? SecondsHistogram::kBounds[i]
                               : std::numeric_limits<double>::infinity();
      metric.bucket.push_back({cumulative, bound});
    }
    metric.sample_count = cumulative;
    metric.sample_sum = histogram.sum();
  }

  std::vector<prometheus::MetricFamily> Take() { return std::move(families_); }

 private:
  prometheus::ClientMetric& Add(const char* name, const char* help, prometheus::MetricType type,
                                Labels labels) {
    auto family = std::find_if(families_.begin(), families_.end(),
                               [name](const auto& known) { return known.name == name; });
    if (family == families_.end()) {
      families_.push_back({name, help, type, {}});
      family = std::prev(families_.end());
    }
    family->metric.emplace_back();
    family->metric.back().label = std::move(labels);
    return family->metric.back();
  }

  std::vector<prometheus::MetricFamily> families_;
};

// "RUN_STATE_RUNNING" to "running".
std::string Word(absl::string_view name, absl::string_view prefix) {
  return absl::AsciiStrToLower(absl::StripPrefix(name, prefix));
}

void CollectCondition(const std::string& run, const v1::RunProgress& progress,
                      const ShownConditions::Shown& shown, Families* out) {
  for (int condition = v1::RUN_CONDITION_TRAINING; condition < v1::RunCondition_ARRAYSIZE;
       ++condition) {
    // These are not of runs that are shown here.
    if (condition == v1::RUN_CONDITION_RECOVERING || condition == v1::RUN_CONDITION_DAMAGED)
      continue;
    out->Gauge(
        "gradd_run_condition",
        "1 for what the run does or waits for, 0 for the others; gradd_run_severity says why.",
        {{"run", run}, {"condition", Word(v1::RunCondition_Name(condition), "RUN_CONDITION_")}},
        progress.condition() == condition ? 1 : 0);
  }
  out->Gauge("gradd_run_severity",
             "How much the run needs somebody: 4 it diverged or its disk failed, 3 no workers, 2 "
             "it waits, 1 paused "
             "or held, 0 it trains or is finished. The reason is in words, for people, and up to a "
             "minute old where it changes often; GetRun has the newest.",
             {{"run", run},
              {"condition", Word(v1::RunCondition_Name(progress.condition()), "RUN_CONDITION_")},
              {"reason", shown.reason}},
             SeverityOf(progress.condition()));
  out->Gauge("gradd_run_condition_since_timestamp_seconds",
             "Unix time since which the run is in its condition; of the first scrape that found it "
             "so where the run cannot say.",
             {{"run", run}}, absl::ToDoubleSeconds(shown.since - absl::UnixEpoch()));
}

void CollectProgress(const std::string& run, const v1::RunProgress& progress, Families* out) {
  const Labels labels = {{"run", run}};
  const auto gauge = [&](const char* name, const char* help, double value) {
    out->Gauge(name, help, labels, value);
  };
  for (int state = v1::RUN_STATE_RUNNING; state < v1::RunState_ARRAYSIZE; ++state) {
    out->Gauge("gradd_run_state", "1 for the state the run is in, 0 for the others.",
               {{"run", run}, {"state", Word(v1::RunState_Name(state), "RUN_STATE_")}},
               progress.state() == state ? 1 : 0);
  }
  gauge("gradd_run_max_steps", "Steps after which the run is finished; 0: no end.",
        static_cast<double>(progress.max_steps()));
  gauge("gradd_run_step", "The version of the parameters: the steps that are applied.",
        static_cast<double>(progress.step()));
  out->Counter("gradd_run_saturated_values_total",
               "Values of float16 pushes at the ends of that encoding's range, which stand for all "
               "beyond.",
               labels, static_cast<double>(progress.saturated_values()));
  out->Counter("gradd_run_widened_chunks_total",
               "Chunks of parameters sent as float32, since float16 has not their range.", labels,
               static_cast<double>(progress.widened_chunks()));
  gauge("gradd_run_learning_rate", "Learning rate of the next step.", progress.learning_rate());
  if (progress.has_loss()) {
    gauge("gradd_run_loss", "Mean loss per example of the last step's pushes.", progress.loss());
    gauge("gradd_run_smoothed_loss", "Exponentially smoothed loss, decay 0.95.",
          progress.smoothed_loss());
    gauge("gradd_run_gradient_norm", "L2 norm of the last step's mean gradient.",
          progress.gradient_norm());
    gauge("gradd_run_update_norm", "L2 norm of the last step's update.", progress.update_norm());
    gauge("gradd_run_parameter_norm", "L2 norm of the parameters.", progress.parameter_norm());
    gauge("gradd_run_staleness_steps", "Greatest staleness among the last step's pushes.",
          static_cast<double>(progress.staleness()));
  }
  if (progress.has_data()) {
    const v1::DataProgress& data = progress.data();
    gauge("gradd_run_data_batches", "Batches of the data set, of all epochs.",
          static_cast<double>(data.batches()));
    out->Counter("gradd_run_data_used_batches_total", "Batches that are used up.", labels,
                 static_cast<double>(data.used_batches()));
    out->Counter("gradd_run_data_skipped_batches_total",
                 "Batches that were given up, since pushes with them were not finite.", labels,
                 static_cast<double>(data.skipped_batches()));
    gauge("gradd_run_data_leased_batches", "Batches that workers have.",
          static_cast<double>(data.leased_batches()));
    gauge("gradd_run_data_epoch", "Epoch of the data, from 0 on.",
          static_cast<double>(data.epoch()));
  }
  if (progress.has_evaluation()) {
    const v1::Evaluation& evaluation = progress.evaluation();
    gauge("gradd_run_evaluation_loss", "Mean loss per held-out example, newest evaluation.",
          evaluation.loss());
    if (evaluation.has_accuracy()) {
      gauge("gradd_run_evaluation_accuracy",
            "Fraction of held-out examples classified correctly, newest evaluation.",
            evaluation.accuracy());
    }
    gauge("gradd_run_evaluation_step", "Step of the newest evaluation.",
          static_cast<double>(evaluation.step()));
  }
}

void CollectWorkers(const std::string& run, const v1::Run& description, Families* out) {
  for (const v1::WorkerStatus& worker : description.workers()) {
    for (int state = v1::WORKER_STATE_COMPUTING; state < v1::WorkerState_ARRAYSIZE; ++state) {
      out->Gauge("gradd_worker_state",
                 "1 for what the worker is doing, 0 for the others; of a run, 1,000 workers.",
                 {{"run", run},
                  {"worker", worker.worker()},
                  {"state", Word(v1::WorkerState_Name(state), "WORKER_STATE_")}},
                 worker.state() == state ? 1 : 0);
    }
    out->Gauge("gradd_worker_last_sequence", "Sequence of the worker's last committed push.",
               {{"run", run}, {"worker", worker.worker()}},
               static_cast<double>(worker.last_sequence()));
  }
}

void CollectRunMetrics(const std::string& run, const RunMetrics& metrics, Families* out) {
  out->Counter("gradd_run_steps_total",
               "Steps applied, those included that were given up when the run went back.",
               {{"run", run}}, static_cast<double>(metrics.steps));
  out->Counter("gradd_run_examples_total", "Examples in all applied pushes, likewise.",
               {{"run", run}}, static_cast<double>(metrics.examples));
  for (int outcome = v1::PUSH_OUTCOME_APPLIED; outcome < v1::PushOutcome_ARRAYSIZE; ++outcome) {
    out->Counter("gradd_run_pushes_total", "Pushes by what became of them.",
                 {{"run", run}, {"outcome", Word(v1::PushOutcome_Name(outcome), "PUSH_OUTCOME_")}},
                 static_cast<double>(metrics.outcomes[static_cast<size_t>(outcome)]));
  }
  out->Histogram("gradd_run_step_seconds", "Time to apply one step, without the network.",
                 {{"run", run}}, metrics.apply_seconds);
  for (int phase = 0; phase < StepProfile::kPhases; ++phase) {
    out->Counter("gradd_run_phase_seconds_total",
                 "Time spent in the phases of steps, summed over workers.",
                 {{"run", run}, {"phase", StepProfile::kNames[static_cast<size_t>(phase)]}},
                 metrics.profile.totals()[static_cast<size_t>(phase)]);
  }
  out->Counter("gradd_run_guard_rollbacks_total",
               "How often the divergence guard has rolled the run back, over its whole life.",
               {{"run", run}}, static_cast<double>(metrics.guard_rollbacks));
  out->Gauge(
      "gradd_run_diverged",
      "1 if the loss has left for good, whatever the run does now: its loss and norms are no "
      "scale for those of other runs.",
      {{"run", run}}, metrics.diverged ? 1 : 0);
  out->Gauge(
      "gradd_run_memory_bytes",
      "Memory of the run: parameters, slots, what optimizers keep for whole tensors, versions "
      "still being read, and buffers for the next ones.",
      {{"run", run}}, static_cast<double>(metrics.memory_bytes));
  out->Counter("gradd_run_block_allocations_total",
               "Buffers for blocks taken from the heap; none in steady state.", {{"run", run}},
               static_cast<double>(metrics.block_allocations));
}

void CollectDurability(const std::string& run, const DurabilitySigns& signs, absl::Duration now,
                       Families* out) {
  const Labels labels = {{"run", run}};
  out->Counter("gradd_run_checkpoints_total", "Checkpoints made.", labels,
               static_cast<double>(signs.checkpoints));
  out->Counter("gradd_run_checkpoint_failures_total", "Checkpoints that could not be made.", labels,
               static_cast<double>(signs.failed_checkpoints));
  if (signs.checkpoint_step.has_value()) {
    out->Gauge("gradd_run_checkpoint_step", "Step of the newest checkpoint.", labels,
               static_cast<double>(*signs.checkpoint_step));
  }
  if (signs.checkpoint_at.has_value()) {
    out->Gauge("gradd_run_checkpoint_age_seconds",
               "Since the newest checkpoint was captured; of those of this server.", labels,
               absl::ToDoubleSeconds(now - *signs.checkpoint_at));
    out->Gauge("gradd_run_checkpoint_duration_seconds",
               "From when the newest checkpoint was captured until it was durable.", labels,
               absl::ToDoubleSeconds(signs.checkpoint_duration));
    out->Gauge("gradd_run_checkpoint_bytes", "Bytes of the newest checkpoint.", labels,
               static_cast<double>(signs.checkpoint_bytes));
  }
  out->Gauge("gradd_run_checkpoint_backlog_bytes",
             "What is still to be written of the checkpoint that is being made.", labels,
             static_cast<double>(signs.checkpoint_bytes_left));
  out->Gauge("gradd_run_log_bytes", "Bytes of the run's log since its newest checkpoint.", labels,
             static_cast<double>(signs.log_bytes));
  out->Counter("gradd_run_log_syncs_total", "How often the log waited for the disk.", labels,
               static_cast<double>(signs.syncs));
  out->Counter("gradd_run_log_sync_seconds_total", "How long that took in all.", labels,
               absl::ToDoubleSeconds(signs.sync_time));
}

void CollectMemory(const MemoryBudget& budget, Families* out) {
  out->Gauge("gradd_memory_limit_bytes", "Most bytes that may be claimed for all uses together.",
             {}, static_cast<double>(budget.limits().total));
  for (const MemoryUse use : kAllMemoryUses) {
    const Labels labels = {{"use", NameOf(use)}};
    out->Gauge(
        "gradd_memory_taken_bytes",
        "Bytes claimed from the server's budget: for state (parameters and slots), scratch of "
        "optimizers and of files on their way, shared regions, versions of parameters that readers "
        "still hold, and "
        "staging of pushes.",
        labels, static_cast<double>(budget.taken_bytes(use)));
    out->Gauge("gradd_memory_use_limit_bytes", "Most bytes that may be claimed for that use.",
               labels,
               static_cast<double>(std::min(budget.limits().of(use), budget.limits().total)));
  }
}

}  // namespace

std::vector<prometheus::MetricFamily> Metrics::Collect() const {
  Families out;
  out.Gauge("gradd_build_info", "1, with the version of the server.", {{"version", kVersion}}, 1);
  out.Gauge("gradd_staged_bytes", "Bytes claimed for pushes that are coming in or wait.", {},
            static_cast<double>(registry_->claimed_bytes()));
  out.Gauge("gradd_staged_bytes_limit", "Most bytes that may be claimed for pushes.", {},
            static_cast<double>(registry_->budget().limits().of(MemoryUse::kStaging)));
  out.Gauge("gradd_shared_bytes", "Shared memory in which workers on this host write gradients.",
            {}, static_cast<double>(registry_->shared_bytes()));
  CollectMemory(registry_->budget(), &out);
  std::vector<int64_t> runs_by_state(v1::RunState_ARRAYSIZE);
  int64_t sessions = 0;
  std::set<std::string> run_ids;
  MutexLock lock(&mutex_);
  for (const auto& run : registry_->All()) {
    run_ids.insert(run->run_id());
    const v1::Run description = run->Describe(Run::Detail::kWorkers);
    const RunMetrics metrics = run->ReadMetrics();
    ++runs_by_state[static_cast<size_t>(description.state())];
    sessions += metrics.connected_workers;
    const v1::RunProgress& progress = description.progress();
    CollectProgress(run->run_id(), progress, &out);
    CollectCondition(run->run_id(), progress,
                     conditions_.Look(run->run_id(), progress, registry_->clock().WallTime()),
                     &out);
    CollectRunMetrics(run->run_id(), metrics, &out);
    if (metrics.durability.has_value()) {
      CollectDurability(run->run_id(), *metrics.durability, registry_->clock().Elapsed(), &out);
    }
    CollectWorkers(run->run_id(), description, &out);
  }
  conditions_.Keep(run_ids);
  for (const v1::Run& run : registry_->Unusable()) {
    ++runs_by_state[static_cast<size_t>(run.state())];
  }
  for (int state = v1::RUN_STATE_RUNNING; state < v1::RunState_ARRAYSIZE; ++state) {
    out.Gauge("gradd_runs", "Runs by state.",
              {{"state", Word(v1::RunState_Name(state), "RUN_STATE_")}},
              static_cast<double>(runs_by_state[static_cast<size_t>(state)]));
  }
  out.Gauge("gradd_sessions", "Workers connected now, over all runs.", {},
            static_cast<double>(sessions));
  return out.Take();
}

}  // namespace gradd

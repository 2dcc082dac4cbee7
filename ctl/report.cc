#include "ctl/report.h"

#include <algorithm>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/base/duration.h"
#include "core/base/utf8.h"
#include "ctl/condition.h"
#include "ctl/durability_text.h"
#include "ctl/fields.h"
#include "ctl/run_name.h"
#include "ctl/text.h"
#include "ctl/weight_decay_text.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/json_util.h"

namespace gradd::ctl {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr int kShownTensors = 50;
constexpr int kShownChanges = 10;
constexpr int kShownEntries = 10;         // Of a list.
constexpr size_t kShownValueBytes = 60;   // Of a change.
constexpr size_t kShownReasonBytes = 60;  // In a list.
constexpr char kUnknown[] = "-";

std::string OrUnknown(const std::string& text) { return text.empty() ? kUnknown : text; }

absl::Time ToTime(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

std::string AgeText(const google::protobuf::Timestamp& time, absl::Time now) {
  if (time.seconds() == 0) return kUnknown;
  const absl::Duration age = std::max(now - ToTime(time), absl::ZeroDuration());
  if (age < absl::Seconds(1)) return "now";
  return absl::StrCat(absl::FormatDuration(absl::Trunc(age, absl::Seconds(1))), " ago");
}

template <typename Enum>
std::string Text(Enum value, const google::protobuf::EnumDescriptor* type) {
  const auto* known = type->FindValueByNumber(value);
  return known == nullptr ? absl::StrCat(static_cast<int>(value)) : EnumText(*known);
}

// Of a server that knows of no conditions, the bare state.
bool KnowsConditions(const v1::Run& run) {
  return run.progress().condition() != v1::RUN_CONDITION_UNSPECIFIED;
}

std::string StateOf(const v1::Run& run) {
  return KnowsConditions(run) ? ConditionWord(run.progress())
                              : Text(run.state(), v1::RunState_descriptor());
}

std::string Describe(const Message& message);

std::string ValueText(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return absl::StrFormat("%.9g", reflection.GetDouble(message, &field));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return absl::StrFormat("%.7g", reflection.GetFloat(message, &field));
    case FieldDescriptor::CPPTYPE_INT64:
      return absl::StrCat(reflection.GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_INT32:
      return absl::StrCat(reflection.GetInt32(message, &field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetBool(message, &field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumText(*reflection.GetEnum(message, &field));
    default:
      break;
  }
  if (field.message_type() == google::protobuf::Duration::descriptor()) {
    return absl::FormatDuration(FromProto(
        static_cast<const google::protobuf::Duration&>(reflection.GetMessage(message, &field))));
  }
  const std::string inner = Describe(reflection.GetMessage(message, &field));
  return inner.empty() ? "" : absl::StrCat("(", inner, ")");
}

// The first entries, as they can be given: `100 200`, `0:1 100:0.5`; of other messages what is set.
std::string ListText(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  const int size = reflection.FieldSize(message, &field);
  const int shown = std::min(size, kShownEntries);
  std::vector<std::string> entries;
  for (int i = 0; i < shown; ++i) {
    std::string text;
    if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      google::protobuf::TextFormat::PrintFieldValueToString(message, &field, i, &text);
    } else if (const Message& entry = reflection.GetRepeatedMessage(message, &field, i);
               ConsistsOfNumbers(&field)) {
      for (int j = 0; j < field.message_type()->field_count(); ++j) {
        absl::StrAppend(&text, j > 0 ? ":" : "", ValueText(entry, *field.message_type()->field(j)));
      }
    } else {
      text = absl::StrCat("(", Describe(entry), ")");
    }
    entries.push_back(std::move(text));
  }
  if (size > shown) entries.push_back(absl::StrCat("and ", size - shown, " more"));
  return absl::StrJoin(entries, " ");
}

// The fields that are set: `beta1 0.95, epsilon 1e-08`. A oneof's member comes first, under
// its kind, if it is one: `adam, beta1 0.95, weight_decay 0.01`; other messages in parentheses:
// `cosine, decay_steps 900, warm_up (steps 100)`.
std::string Describe(const Message& message) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  std::vector<std::string> parts;
  for (const FieldDescriptor* field : fields) {
    const bool is_kind = field->real_containing_oneof() != nullptr &&
                         field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
                         field->message_type() != google::protobuf::Duration::descriptor();
    if (!is_kind) {
      const std::string value =
          field->is_repeated() ? ListText(message, *field) : ValueText(message, *field);
      parts.push_back(value.empty() ? field->name() : absl::StrCat(field->name(), " ", value));
      continue;
    }
    const std::string inner = Describe(message.GetReflection()->GetMessage(message, field));
    if (!inner.empty()) parts.insert(parts.begin(), inner);
    parts.insert(parts.begin(), KindName(field->name()));
  }
  return absl::StrJoin(parts, ", ");
}

std::string ShapeText(const v1::Tensor& tensor) {
  return tensor.shape().empty() ? "scalar" : absl::StrJoin(tensor.shape(), " x ");
}

int64_t Elements(const v1::Tensor& tensor) {
  int64_t elements = 1;
  for (const int64_t dimension : tensor.shape()) elements *= dimension;
  return elements;
}

std::string InitializerText(const v1::Initializer& initializer) {
  if (initializer.has_constant()) return absl::StrFormat("%g", initializer.constant());
  if (initializer.has_uniform()) {
    return absl::StrFormat("uniform [%g, %g)", initializer.uniform().low(),
                           initializer.uniform().high());
  }
  // `kaiming_normal, fan fan_out`, and nothing where its kind is one that this program has not.
  const std::string text = Describe(initializer);
  return text.empty() ? "0" : text;
}

void AppendTensors(const v1::Layout& layout, std::string* page) {
  if (layout.tensors().empty()) return;
  std::vector<std::vector<std::string>> rows;
  for (const v1::Tensor& tensor : layout.tensors()) {
    if (rows.size() == kShownTensors) break;
    rows.push_back({absl::StrCat("  ", tensor.name()), ShapeText(tensor),
                    GroupedText(Elements(tensor)), InitializerText(tensor.initializer())});
  }
  absl::StrAppend(page, "\n", Table({"  TENSOR", "SHAPE", "ELEMENTS", "STARTS AT"}, rows));
  if (layout.tensors_size() > kShownTensors) {
    absl::StrAppend(page, "  and ", GroupedText(layout.tensors_size() - kShownTensors),
                    " more; --json shows all\n");
  }
}

void AppendWorkers(const v1::Run& run, absl::Time now, std::string* page) {
  if (run.workers().empty()) return;
  std::vector<std::string> headings = {"  WORKER", "STATE",    "SEQUENCE",     "BASE STEP",
                                       "APPLIED",  "REJECTED", "LAST MESSAGE", "ADDRESS"};
  const bool beyond_float16 =
      std::any_of(run.workers().begin(), run.workers().end(), [](const v1::WorkerStatus& worker) {
        return worker.saturated_values() > 0 || worker.widened_chunks() > 0;
      });
  if (beyond_float16) {
    for (const char* heading : {"SATURATED", "WIDENED"}) headings.emplace_back(heading);
  }
  std::vector<std::vector<std::string>> rows;
  for (const v1::WorkerStatus& worker : run.workers()) {
    rows.push_back({absl::StrCat("  ", worker.worker()),
                    Text(worker.state(), v1::WorkerState_descriptor()),
                    absl::StrCat(worker.last_sequence()), absl::StrCat(worker.last_base_step()),
                    absl::StrCat(worker.applied_pushes()), absl::StrCat(worker.rejected_pushes()),
                    AgeText(worker.last_message_time(), now), OrUnknown(worker.address())});
    if (beyond_float16) {
      rows.back().push_back(GroupedText(worker.saturated_values()));
      rows.back().push_back(GroupedText(worker.widened_chunks()));
    }
  }
  absl::StrAppend(page, "\n", Table(headings, rows));
}

void AppendChanges(const v1::Run& run, absl::Time now, std::string* page) {
  if (run.history().empty()) return;
  std::vector<std::vector<std::string>> rows;
  const int earlier = std::max(0, run.history_size() - kShownChanges);
  for (int i = earlier; i < run.history_size(); ++i) {
    const v1::Change& change = run.history(i);
    rows.push_back({absl::StrCat("  ", change.field()),
                    OrUnknown(Abbreviated(change.old_value(), kShownValueBytes)),
                    OrUnknown(Abbreviated(change.new_value(), kShownValueBytes)),
                    absl::StrCat(change.step()), AgeText(change.time(), now),
                    OrUnknown(change.author())});
  }
  absl::StrAppend(page, "\n", Table({"  CHANGE", "FROM", "TO", "STEP", "WHEN", "WHO"}, rows));
  if (earlier > 0) {
    absl::StrAppend(page, "  and ", GroupedText(earlier), " earlier; --json shows all\n");
  }
}

// Appends `  label       value`.
void AppendRow(absl::string_view label, absl::string_view value, std::string* page) {
  absl::StrAppendFormat(page, "  %-16s%s\n", label, value);
}

void AppendNumber(absl::string_view label, bool known, double value, std::string* page) {
  if (known) AppendRow(label, absl::StrFormat("%.6g", value), page);
}

std::string DataSetText(const v1::DataSet& data) {
  return absl::StrCat(CountText(data.epochs(), "epoch", "epochs"), " of ",
                      CountText(data.examples(), "example", "examples"), " in batches of ",
                      GroupedText(data.batch_size()));
}

// `epoch 2 of 3, 1,200 examples left; 61 of 150 batches used, 4 leased`.
std::string DataText(const v1::DataProgress& data) {
  std::string text =
      data.epoch() == data.epochs()
          ? std::string("used up")
          : absl::StrCat("epoch ", data.epoch() + 1, " of ", data.epochs(), ", ",
                         CountText(data.epoch_examples_left(), "example", "examples"), " left");
  absl::StrAppend(&text, "; ", GroupedText(data.used_batches()), " of ",
                  CountText(data.batches(), "batch", "batches"), " used, ",
                  GroupedText(data.leased_batches()), " leased");
  if (data.skipped_batches() == 0) return text;
  absl::StrAppend(&text, "; ", GroupedText(data.skipped_batches()),
                  " given up since pushes with them were not finite: ",
                  absl::StrJoin(data.last_skipped(), ", "));
  const bool more = data.skipped_batches() > data.last_skipped_size();
  return more ? absl::StrCat(text, ", ...") : text;
}

void AppendProgress(const v1::RunProgress& progress, std::string* page) {
  *page += '\n';
  AppendRow("step",
            progress.max_steps() > 0 ? absl::StrCat(progress.step(), " of ", progress.max_steps())
                                     : absl::StrCat(progress.step()),
            page);
  AppendNumber("loss", progress.has_loss(), progress.loss(), page);
  AppendNumber("smoothed loss", progress.has_smoothed_loss(), progress.smoothed_loss(), page);
  if (progress.has_evaluation()) {
    const v1::Evaluation& evaluation = progress.evaluation();
    std::string text = absl::StrFormat("loss %.6g", evaluation.loss());
    if (evaluation.has_accuracy()) {
      absl::StrAppendFormat(&text, ", accuracy %.4f", evaluation.accuracy());
    }
    AppendRow("evaluation",
              absl::StrCat(text, " at step ", evaluation.step(), ", over ",
                           CountText(evaluation.examples(), "example", "examples")),
              page);
  }
  AppendNumber("learning rate", true, progress.learning_rate(), page);
  AppendNumber("gradient norm", progress.has_gradient_norm(), progress.gradient_norm(), page);
  AppendNumber("update norm", progress.has_update_norm(), progress.update_norm(), page);
  AppendNumber("parameter norm", progress.has_parameter_norm(), progress.parameter_norm(), page);
  if (progress.has_noise_scale()) {
    AppendRow("noise scale", absl::StrFormat("%.3g examples", progress.noise_scale()), page);
  }
  if (progress.has_lowest_agreement()) {
    AppendRow("agreement",
              absl::StrFormat("lowest %.3f, of %s", progress.lowest_agreement(),
                              progress.lowest_agreement_worker()),
              page);
  }
  AppendRow("examples", GroupedText(progress.examples()), page);
  if (progress.has_data()) AppendRow("data", DataText(progress.data()), page);
  AppendRow("rate",
            absl::StrCat(RateText(progress.steps_per_second()), " steps/s, ",
                         RateText(progress.examples_per_second()), " examples/s"),
            page);
  if (progress.has_profile()) {
    const v1::StepProfile& profile = progress.profile();
    AppendRow("time per step",
              absl::StrFormat("receive %.3g ms, stage %.3g, wait %.3g, apply %.3g, send %.3g",
                              profile.receive_seconds() * 1e3, profile.stage_seconds() * 1e3,
                              profile.wait_seconds() * 1e3, profile.apply_seconds() * 1e3,
                              profile.send_seconds() * 1e3),
              page);
  }
  AppendRow("pushes",
            absl::StrCat(GroupedText(progress.applied_pushes()), " applied, ",
                         GroupedText(progress.rejected_pushes()), " not"),
            page);
  if (progress.saturated_values() > 0 || progress.widened_chunks() > 0) {
    AppendRow("beyond float16",
              absl::StrCat(CountText(progress.saturated_values(), "pushed value", "pushed values"),
                           ", taken as 65504 or -65504; ",
                           CountText(progress.widened_chunks(), "chunk", "chunks"),
                           " of parameters, sent as float32"),
              page);
  }
  AppendRow("staleness", absl::StrCat(progress.staleness()), page);
  AppendRow("live workers", absl::StrCat(progress.live_workers()), page);
  AppendRow("elapsed", ClockText(FromProto(progress.elapsed())), page);
  if (progress.has_time_left()) {
    AppendRow("time left", ClockText(FromProto(progress.time_left())), page);
  }
}

}  // namespace

std::string RunTable(const v1::ListRunsResponse& runs, int width) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::Run& run : runs.runs()) {
    const v1::RunProgress& progress = run.progress();
    rows.push_back(
        {RunId(run.name()), StateOf(run), OrUnknown(KindName(run.optimizer())),
         run.max_steps() > 0 ? absl::StrCat(progress.step(), "/", run.max_steps())
                             : absl::StrCat(progress.step()),
         progress.has_loss() ? LossText(progress.loss()) : kUnknown,
         progress.evaluation().has_accuracy()
             ? absl::StrFormat("%.4f", progress.evaluation().accuracy())
             : kUnknown,
         absl::StrFormat("%.4g", progress.learning_rate()), absl::StrCat(progress.live_workers()),
         RateText(progress.examples_per_second()),
         progress.has_time_left() ? ClockText(FromProto(progress.time_left())) : kUnknown,
         Abbreviated(progress.reason(), kShownReasonBytes)});
  }
  std::vector<std::string> headings = {"RUN", "STATE",   "OPTIMIZER",  "STEP", "LOSS", "ACCURACY",
                                       "LR",  "WORKERS", "EXAMPLES/S", "LEFT", "WHY"};
  // Nothing is the matter with any of them.
  const bool all_well =
      std::all_of(rows.begin(), rows.end(), [](const auto& row) { return row.back().empty(); });
  if (all_well) {
    headings.pop_back();
    for (std::vector<std::string>& row : rows) row.pop_back();
  }
  return ForTerminal(FittedTable(std::move(headings), std::move(rows), width,
                                 {"EXAMPLES/S", "LR", "ACCURACY", "OPTIMIZER", "LEFT", "WORKERS"}));
}

std::string LabelsText(const RunLabels& labels) {
  std::vector<std::string> texts;
  texts.reserve(labels.size());
  for (const auto& [key, value] : labels) texts.push_back(absl::StrCat(key, "=", value));
  std::sort(texts.begin(), texts.end());
  return absl::StrJoin(texts, " ");
}

std::string GroupText(absl::string_view labels, const v1::ListRunsResponse& runs) {
  if (runs.runs().empty()) return ForTerminal(absl::StrCat(labels, "  no runs\n"));
  int64_t first = std::numeric_limits<int64_t>::max();
  int64_t last = 0;
  int64_t workers = 0;
  double rate = 0;
  std::map<std::string, int64_t> states;
  std::vector<std::string> reasons;
  for (const v1::Run& run : runs.runs()) {
    const v1::RunProgress& progress = run.progress();
    first = std::min(first, progress.step());
    last = std::max(last, progress.step());
    workers += progress.live_workers();
    rate += progress.examples_per_second();
    ++states[StateOf(run)];
    if (!progress.reason().empty()) {
      reasons.push_back(absl::StrCat("\n  ", RunId(run.name()), ": ", progress.reason()));
    }
  }
  std::vector<std::string> counts;
  counts.reserve(states.size());
  for (const auto& [state, count] : states) counts.push_back(absl::StrCat(count, " ", state));
  const std::string steps =
      first == last ? absl::StrCat("step ", last)
                    : absl::StrCat("steps ", first, " to ", last, ", ", last - first, " apart");
  std::string text =
      absl::StrCat(labels, "  ", CountText(runs.runs_size(), "run", "runs"), "  ", steps, "  ",
                   absl::StrJoin(counts, ", "), "  ", CountText(workers, "worker", "workers"));
  if (rate > 0) absl::StrAppend(&text, "  ", RateText(rate), " examples/s");
  return ForTerminal(absl::StrCat(text, absl::StrJoin(reasons, ""), "\n"));
}

std::string NoRunsText(const v1::ListRunsResponse& runs, absl::Time now) {
  std::string text = "no runs";
  if (runs.has_server_start_time()) {
    absl::StrAppend(&text, "; the server was started ", AgeText(runs.server_start_time(), now));
  }
  absl::StrAppend(&text, "\n");
  if (runs.lost_runs().empty()) return text;
  constexpr int kMaxNamed = 10;
  absl::StrAppend(&text, "lost with the server before it: ");
  for (int i = 0; i < std::min(kMaxNamed, runs.lost_runs_size()); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ", ", RunId(runs.lost_runs(i).name()), " (step ",
                    runs.lost_runs(i).step(), ")");
  }
  return absl::StrCat(text, runs.lost_runs_size() > kMaxNamed ? ", ..." : "", "\n");
}

std::string MemoryOnlyText(const v1::ListRunsResponse& runs) {
  std::vector<std::string> names;
  for (const v1::Run& run : runs.runs()) {
    if (!run.kept()) names.push_back(RunId(run.name()));
  }
  if (names.empty()) return "";
  const bool all = static_cast<int>(names.size()) == runs.runs_size();
  constexpr size_t kMostNames = 5;
  const bool more = names.size() > kMostNames;
  names.resize(std::min(names.size(), kMostNames));
  return ForTerminal(absl::StrCat(
      "gradctl: ",
      all ? "these runs" : absl::StrCat(absl::StrJoin(names, ", "), more ? ", ..." : ""),
      names.size() == 1 && !all ? " is" : " are",
      " in the server's memory only, and gone with it\n"));
}

std::string RunPage(const v1::Run& run, absl::Time now, const std::string& newest_checkpoint) {
  std::string page = absl::StrCat(
      RunId(run.name()), "  ",
      KnowsConditions(run) ? TimedConditionText(run.progress()) : StateOf(run), "\n\n");
  AppendRow("created", AgeText(run.create_time(), now), &page);
  AppendRow("size", SizeText(run), &page);
  if (run.memory_bytes() > 0) {
    AppendRow(
        "memory",
        absl::StrCat(GroupedText(run.memory_bytes()), " bytes, ", GroupedText(run.state_bytes()),
                     " of them parameters and optimizer state"),
        &page);
  }
  AppendRow(
      "kept",
      run.kept() ? "on the server's disk" : "no: in the server's memory only, and gone with it",
      &page);
  if (run.kept()) {
    AppendRow("checkpoints", CheckpointsText(run.checkpoints(), newest_checkpoint), &page);
    AppendRow("journal", JournalText(run), &page);
  }
  if (const std::string guard = GuardText(run.guard()); !guard.empty()) {
    AppendRow("guard", guard, &page);
  }
  if (!run.labels().empty()) AppendRow("labels", LabelsText(run.labels()), &page);
  // Each but the first began when the run went back.
  if (run.timeline() > 1) AppendRow("timeline", absl::StrCat(run.timeline()), &page);
  AppendRow("optimizer", Describe(run.optimizer()), &page);
  if (const std::string decay = WeightDecayText(run.optimizer()); !decay.empty()) {
    AppendRow("weight decay", decay, &page);
  }
  AppendRow("schedule", Describe(run.schedule()), &page);
  AppendRow("policy", Describe(run.policy()), &page);
  if (run.has_data()) AppendRow("data set", DataSetText(run.data()), &page);
  AppendRow("seed", absl::StrCat(run.seed()), &page);
  if (run.has_lease_duration()) {
    AppendRow("lease", absl::FormatDuration(FromProto(run.lease_duration())), &page);
  }
  AppendProgress(run.progress(), &page);
  AppendTensors(run.layout(), &page);
  AppendWorkers(run, now, &page);
  AppendChanges(run, now, &page);
  return ForTerminal(page);
}

std::string SizeText(const v1::Run& run) {
  return absl::StrCat(CountText(run.parameter_count(), "parameter", "parameters"), " in ",
                      CountText(run.layout().tensors_size(), "tensor", "tensors"));
}

std::string JsonLine(const Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  const google::protobuf::util::Status printed =
      google::protobuf::util::MessageToJsonString(message, &json, options);
  return printed.ok() ? json : absl::StrCat("{}");
}

}  // namespace gradd::ctl

#include "ctl/fields.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <iterator>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/duration.h"
#include "core/base/error.h"
#include "core/base/finite_number.h"
#include "core/base/utf8.h"
#include "core/run/live_fields.h"
#include "ctl/nearest.h"
#include "ctl/status.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/util/json_util.h"

namespace gradd::ctl {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::OneofDescriptor;
using google::protobuf::Reflection;

constexpr ShortName kShortNames[] = {
    {"learning-rate", "", "schedule.learning_rate", "NUMBER",
     "Learning rate, which the schedule scales"},
    {"steps", "max-steps", "max_steps", "N", "Finish after this many steps; 0: never"},
    {"seed", "", "seed", "N", "Seed of the initial parameters [0]"},
    {"lease", "", "lease_duration", "DURATION", "How long a worker may be silent [15s]"},
    // Their help is in weight_decay_text.h.
    {"weight-decay", "", "optimizer.weight_decay", "NUMBER", ""},
    {"weight-decay-mode", "", "optimizer.weight_decay_mode", "coupled|decoupled", ""},

    {"momentum", "", "optimizer.momentum.momentum", "NUMBER", "[by optimizer]"},
    {"momentum", "", "optimizer.nesterov.momentum", "", ""},
    {"momentum", "", "optimizer.rms_prop.momentum", "", ""},
    {"dampening", "", "optimizer.momentum.dampening", "NUMBER", "[0]"},
    {"nesterov-form", "", "optimizer.nesterov.form", "reformulated|look-ahead", "[reformulated]"},
    {"initial-accumulator", "", "optimizer.ada_grad.initial_accumulator", "NUMBER", "[0]"},
    {"learning-rate-decay", "", "optimizer.ada_grad.learning_rate_decay", "NUMBER", "[0]"},
    {"decay", "rho", "optimizer.rms_prop.decay", "NUMBER", "[by optimizer]"},
    {"centered", "", "optimizer.rms_prop.centered", "", "Normalize by the variance"},
    {"beta1", "", "optimizer.adam.beta1", "NUMBER", "[by optimizer]"},
    {"beta2", "", "optimizer.adam.beta2", "NUMBER", "[by optimizer]"},
    {"epsilon", "", "optimizer.ada_grad.epsilon", "NUMBER", "[by optimizer]"},
    {"epsilon", "", "optimizer.rms_prop.epsilon", "", ""},
    {"epsilon", "", "optimizer.adam.epsilon", "", ""},

    {"step-size", "", "schedule.step_decay.step_size", "N", "Steps between two decays"},
    {"milestones", "", "schedule.multi_step_decay.milestones", "N,N,...", "Steps of the decays"},
    {"gamma", "", "schedule.step_decay.gamma", "NUMBER",
     "Factor of one decay; cyclic: of one step"},
    {"gamma", "", "schedule.multi_step_decay.gamma", "", ""},
    {"gamma", "", "schedule.cyclic.gamma", "", ""},
    {"decay-steps", "", "schedule.exponential_decay.decay_steps", "N",
     "Steps of the decay; with --decay-rate, of one such decay [1]"},
    {"decay-steps", "", "schedule.inverse_time_decay.decay_steps", "", ""},
    {"decay-steps", "", "schedule.polynomial_decay.decay_steps", "", ""},
    {"decay-steps", "", "schedule.cosine_decay.decay_steps", "", ""},
    {"decay-steps", "", "schedule.stable_decay.decay_steps", "", ""},
    {"decay-rate", "", "schedule.exponential_decay.decay_rate", "NUMBER", "Factor of one decay"},
    {"decay-rate", "", "schedule.inverse_time_decay.decay_rate", "", ""},
    {"staircase", "", "schedule.exponential_decay.staircase", "", "Decay in jumps"},
    {"staircase", "", "schedule.inverse_time_decay.staircase", "", ""},
    {"power", "", "schedule.polynomial_decay.power", "NUMBER", "[1]"},
    {"total-steps", "", "schedule.linear.total_steps", "N", "Steps from the start to the end"},
    {"total-steps", "", "schedule.one_cycle.total_steps", "", ""},
    {"start-factor", "", "schedule.linear.start_factor", "NUMBER",
     "The rate at the start, as a factor [1; one-cycle: 0.04]"},
    {"start-factor", "", "schedule.one_cycle.start_factor", "", ""},
    {"end-factor", "", "schedule.polynomial_decay.end_factor", "NUMBER",
     "The rate at the end, as a factor [0; one-cycle: 4e-6]"},
    {"end-factor", "", "schedule.linear.end_factor", "", ""},
    {"end-factor", "", "schedule.cosine_decay.end_factor", "", ""},
    {"end-factor", "", "schedule.cosine_restarts.end_factor", "", ""},
    {"end-factor", "", "schedule.one_cycle.end_factor", "", ""},
    {"end-factor", "", "schedule.stable_decay.end_factor", "", ""},
    {"period", "", "schedule.cosine_restarts.period", "N", "Steps before the first restart"},
    {"period-factor", "", "schedule.cosine_restarts.period_factor", "N",
     "How much longer each period is than the last one [1]"},
    {"up-steps", "", "schedule.cyclic.up_steps", "N", "Steps up to a peak"},
    {"down-steps", "", "schedule.cyclic.down_steps", "N", "Steps down from a peak [--up-steps]"},
    {"max-factor", "", "schedule.cyclic.max_factor", "NUMBER", "The first peak, as a factor"},
    {"cyclic-form", "", "schedule.cyclic.form", "triangular|triangular2|exp-range", "[triangular]"},
    {"cycled-momentum", "", "schedule.cyclic.momentum", "JSON",
     R"(The optimizer's momentum against the rate, {"low": 0.85, "high": 0.95})"},
    {"cycled-momentum", "", "schedule.one_cycle.momentum", "", ""},
    {"rise-fraction", "", "schedule.one_cycle.rise_fraction", "NUMBER",
     "Part of the steps in which the rate rises [0.3]"},
    {"three-phase", "", "schedule.one_cycle.three_phase", "",
     "Down to the start first, then to the end"},
    {"annealing", "", "schedule.one_cycle.annealing", "linear|cosine|square-root",
     "[cosine; stable-decay: linear]"},
    {"annealing", "", "schedule.stable_decay.annealing", "", ""},
    {"stable-steps", "", "schedule.stable_decay.stable_steps", "N", "Steps before the decay [0]"},
    {"timescale", "", "schedule.inverse_square_root.timescale", "N",
     "The rate is 1 / sqrt(1 + step / timescale)"},
    {"points", "", "schedule.piecewise.points", "STEP:FACTOR,...", "Points of the curve"},
    {"interpolate", "", "schedule.piecewise.interpolate", "", "Straight lines between the points"},
    {"parts", "", "schedule.sequence.parts", "JSON", R"([{"steps": 100, "schedule": {...}}, ...])"},
    {"warm-up", "", "schedule.warm_up.steps", "N", "Steps of a warm-up before the schedule"},
    {"warm-up-start", "", "schedule.warm_up.start_factor", "NUMBER",
     "The rate at its start, as a factor [0]"},
    {"warm-up-annealing", "", "schedule.warm_up.annealing", "linear|cosine|square-root",
     "[linear]"},
    {"begins-at", "", kScheduleBegin, "STEP",
     "From which step of the run the schedule counts [0, after a change of it: from the change]"},
    {"plateau-metric", "", "schedule.reduce_on_plateau.metric",
     "training-loss|evaluation-loss|evaluation-accuracy",
     "Reduce the rate when this gets no better"},
    {"plateau-factor", "", "schedule.reduce_on_plateau.factor", "NUMBER", "By how much [0.1]"},
    {"plateau-patience", "", "schedule.reduce_on_plateau.patience", "N",
     "After how many observations [10]"},
    {"plateau-mode", "", "schedule.reduce_on_plateau.mode", "min|max",
     "What is better [by metric]"},
    {"plateau-threshold", "", "schedule.reduce_on_plateau.threshold", "NUMBER",
     "By how much better [1e-4]"},
    {"plateau-threshold-mode", "", "schedule.reduce_on_plateau.threshold_mode", "relative|absolute",
     "[relative]"},
    {"plateau-cooldown", "", "schedule.reduce_on_plateau.cooldown", "N",
     "Observations to wait after a reduction [0]"},
    {"plateau-min-factor", "", "schedule.reduce_on_plateau.min_factor", "NUMBER",
     "Never below this factor in all [0]"},
    {"plateau-epsilon", "", "schedule.reduce_on_plateau.epsilon", "NUMBER",
     "Smallest reduction that is made [1e-8]"},
    {"plateau-interval", "", "schedule.reduce_on_plateau.interval", "N",
     "Steps between observations of the training loss [1]"},

    {"workers", "", "policy.synchronous.workers", "N", "Workers to start with [1]"},
    {"deadline", "", "policy.synchronous.deadline", "DURATION",
     "Longest wait for the last workers of a step [300s]"},
    {"missed-deadlines", "", "policy.synchronous.missed_deadlines", "N",
     "Steps in a row made without a worker, after which they do not wait for it; 0: they always do "
     "[3]"},
    {"quorum", "", "policy.synchronous.quorum", "N",
     "Make a step when the pushes of so many workers are in [all]"},
    {"grace", "", "policy.synchronous.grace", "DURATION",
     "How long a step waits for the others once its quorum is in [0s]"},
    {"adaptive-grace", "", "policy.synchronous.adaptive_grace", "",
     "Half of the time that the others took, smoothed, instead"},
    {"late-pushes", "", "policy.synchronous.late_pushes", "superseded|carried",
     "What becomes of a push whose step was made without it [superseded]"},
    {"max-staleness", "", "policy.asynchronous.max_staleness", "N", "Drop older pushes [no limit]"},
    {"staleness-correction", "", "policy.asynchronous.correction", "none|learning-rate", "[none]"},
    {"delay-compensation", "", "policy.asynchronous.delay_compensation.strength", "NUMBER",
     "Correct a stale gradient for what the parameters changed since, so strongly"},
    {"kept-steps", "", "policy.asynchronous.delay_compensation.kept_steps", "N",
     "Earlier steps whose parameters are kept for that [4]"},
    {"old-bases", "", "policy.asynchronous.delay_compensation.old_bases", "stale|uncorrected",
     "What becomes of a push from parameters that are not kept [stale]"},
    {"age-decay", "", "policy.asynchronous.age_decay.alpha", "NUMBER",
     "Multiply a stale gradient with exp(-NUMBER * staleness)"},
    {"age-cutoff", "", "policy.asynchronous.age_decay.cutoff", "N",
     "And let it end in a half cosine at that staleness"},
    {"staleness-bound", "", "policy.bounded_staleness.bound", "N",
     "Pushes that a worker may be ahead of the slowest one"},

    {"examples", "", "data.examples", "N",
     "Examples of a data set whose batches the server hands out [none: workers share it]"},
    {"batch-size", "", "data.batch_size", "N", "Examples of a batch"},
    {"epochs", "", "data.epochs", "N", "How often every example is used; then the run is finished"},
    {"data-seed", "", "data.seed", "N", "Of the order of the examples [0]"},
    {"most-skips", "", "data.most_skips", "N",
     "After so many pushes that were not finite, a batch is given up [3]"},
};

bool Is(const ShortName& entry, absl::string_view name) {
  return entry.name == name || (*entry.alias != '\0' && entry.alias == name);
}

// `optimizer` in `optimizer.adam.beta1`, and its member `adam`; null if `path` is not inside a
// oneof's member.
struct Owner {
  const FieldDescriptor* holder = nullptr;
  const FieldDescriptor* member = nullptr;
};

Owner OwnerOf(absl::string_view path) {
  const std::vector<std::string> parts = absl::StrSplit(path, '.');
  Owner owner;
  if (parts.size() < 3) return owner;
  owner.holder = v1::Run::descriptor()->FindFieldByName(parts[0]);
  const FieldDescriptor* const field = owner.holder->message_type()->FindFieldByName(parts[1]);
  if (field->real_containing_oneof() != nullptr) owner.member = field;
  return owner;
}

bool Uses(const v1::Run& run, const Owner& owner) {
  const Message& holder = run.GetReflection()->GetMessage(run, owner.holder);
  return holder.GetReflection()->HasField(holder, owner.member);
}

// Without what people write in different ways.
std::string Spelling(absl::string_view kind) {
  std::string text = absl::StrReplaceAll(absl::AsciiStrToLower(kind), {{"_", ""}, {"-", ""}});
  // torch's.
  if (text == "cosineannealinglr") return "cosine";
  if (text == "cosineannealingwarmrestarts") return "cosinerestarts";
  if (text == "sequentiallr") return "sequence";
  absl::string_view name = text;
  absl::ConsumeSuffix(&name, "lr");
  return std::string(name);
}

std::string EnumPrefix(const EnumDescriptor& type) {
  constexpr absl::string_view kUnspecified = "UNSPECIFIED";
  const std::string& first = type.value(0)->name();
  return absl::EndsWith(first, kUnspecified) ? first.substr(0, first.size() - kUnspecified.size())
                                             : "";
}

absl::Status ValueError(absl::string_view path, absl::string_view text,
                        absl::string_view expected) {
  return UsageError(absl::StrCat(path, ": ", Quoted(text), " is not ", expected));
}

template <typename T>
absl::Status WholeNumberError(absl::string_view path, absl::string_view text) {
  return ValueError(path, text,
                    absl::StrCat("a whole number from ", std::numeric_limits<T>::min(), " to ",
                                 std::numeric_limits<T>::max()));
}

// What protobuf says of JSON may have as much of it as there is.
std::string JsonError(const google::protobuf::util::Status& status) {
  constexpr size_t kLongest = 300;
  return Abbreviated(std::string(status.message()), kLongest);
}

absl::Status SetEnum(absl::string_view path, absl::string_view text, const FieldDescriptor* field,
                     Message* message) {
  const EnumDescriptor& type = *field->enum_type();
  std::vector<std::string> known;
  for (int i = 1; i < type.value_count(); ++i) {
    known.push_back(EnumText(*type.value(i)));
    if (text == known.back() || text == type.value(i)->name()) {
      message->GetReflection()->SetEnum(message, field, type.value(i));
      return absl::OkStatus();
    }
  }
  return ValueError(path, text, absl::StrCat("one of ", absl::StrJoin(known, ", ")));
}

absl::Status SetMessage(absl::string_view path, absl::string_view text,
                        const FieldDescriptor* field, Message* parent) {
  Message* message = parent->GetReflection()->MutableMessage(parent, field);
  if (field->message_type() == google::protobuf::Duration::descriptor()) {
    absl::StatusOr<absl::Duration> duration = ParseDurationText(text);
    if (!duration.ok()) return UsageError(absl::StrCat(path, ": ", duration.status().message()));
    message->CopyFrom(ToProto(*duration));
    return absl::OkStatus();
  }
  message->Clear();
  const google::protobuf::util::Status parsed =
      google::protobuf::util::JsonStringToMessage(std::string(text), message);
  if (!parsed.ok()) {
    return ValueError(path, text,
                      absl::StrCat("JSON of ", field->message_type()->name(), ", such as ",
                                   JsonExample(*field->message_type()), ": ", JsonError(parsed)));
  }
  return absl::OkStatus();
}

absl::Status SetLeaf(absl::string_view path, absl::string_view text, const FieldDescriptor* field,
                     Message* message) {
  const Reflection& reflection = *message->GetReflection();
  if (text == "default") {
    reflection.ClearField(message, field);
    return absl::OkStatus();
  }
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      double value = 0;
      if (!ParseFinite(text, &value)) return ValueError(path, text, kFiniteNumber);
      reflection.SetDouble(message, field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_FLOAT: {
      double value = 0;
      constexpr double kLargest = std::numeric_limits<float>::max();
      if (!ParseFinite(text, &value) || std::abs(value) > kLargest) {
        return ValueError(path, text, "a finite number up to 3.4e38");
      }
      reflection.SetFloat(message, field, static_cast<float>(value));
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      int64_t value = 0;
      if (!absl::SimpleAtoi(text, &value)) return WholeNumberError<int64_t>(path, text);
      reflection.SetInt64(message, field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_UINT64: {
      uint64_t value = 0;
      if (!absl::SimpleAtoi(text, &value)) return WholeNumberError<uint64_t>(path, text);
      reflection.SetUInt64(message, field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_INT32: {
      int32_t value = 0;
      if (!absl::SimpleAtoi(text, &value)) return WholeNumberError<int32_t>(path, text);
      reflection.SetInt32(message, field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_BOOL: {
      bool value = false;
      if (!absl::SimpleAtob(text, &value)) return ValueError(path, text, "true or false");
      reflection.SetBool(message, field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_STRING:
      reflection.SetString(message, field, std::string(text));
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_ENUM:
      return SetEnum(path, text, field, message);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return SetMessage(path, text, field, message);
    default:
      return UsageError(absl::StrCat(path, ": fields of this type cannot be set"));
  }
}

// What a list's text looks like.
std::string ListForm(const FieldDescriptor* field) {
  if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return "values with commas, or JSON";
  if (!ConsistsOfNumbers(field)) return "JSON in [] expected";
  std::vector<std::string> names;
  names.reserve(static_cast<size_t>(field->message_type()->field_count()));
  for (int i = 0; i < field->message_type()->field_count(); ++i) {
    names.push_back(field->message_type()->field(i)->name());
  }
  return absl::StrCat(absl::StrJoin(names, ":"), " with commas, or JSON");
}

// `100,200` or, of messages that consist of numbers, `0:1,100:0.5`, as a JSON list; empty if `text`
// is neither.
std::string ListAsJson(absl::string_view text, const FieldDescriptor* field) {
  std::vector<std::string> entries;
  for (const absl::string_view entry : absl::StrSplit(text, ',')) {
    if (!ConsistsOfNumbers(field)) {
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) return "";
      entries.push_back(absl::StrCat("\"", entry, "\""));
      continue;
    }
    const Descriptor& type = *field->message_type();
    const std::vector<absl::string_view> values = absl::StrSplit(entry, ':');
    if (values.size() != static_cast<size_t>(type.field_count())) return "";
    std::vector<std::string> members;
    members.reserve(values.size());
    for (int i = 0; i < type.field_count(); ++i) {
      members.push_back(
          absl::StrCat("\"", type.field(i)->name(), "\":\"", values[static_cast<size_t>(i)], "\""));
    }
    entries.push_back(absl::StrCat("{", absl::StrJoin(members, ","), "}"));
  }
  return absl::StrCat("[", absl::StrJoin(entries, ","), "]");
}

absl::Status SetList(absl::string_view path, absl::string_view text, const FieldDescriptor* field,
                     Message* message) {
  const Reflection& reflection = *message->GetReflection();
  if (text == "default") {
    reflection.ClearField(message, field);
    return absl::OkStatus();
  }
  const bool is_json = absl::StartsWith(text, "[");
  const std::string list = is_json ? std::string(text) : ListAsJson(text, field);
  const std::unique_ptr<Message> parsed(message->New());
  const bool valid = google::protobuf::util::JsonStringToMessage(
                         absl::StrCat("{\"", field->name(), "\":", list, "}"), parsed.get())
                         .ok();
  if (!valid || reflection.FieldSize(*parsed, field) == 0) {
    return ValueError(path, text, absl::StrCat("a list: ", ListForm(field)));
  }
  reflection.SwapFields(message, parsed.get(), {field});
  return absl::OkStatus();
}

// A short name for a field whose meaning is in the API alone: `beta3` for `optimizer.adan.beta3`.
// What it refers to is kept for ever.
ShortName NameOf(const FieldDescriptor* field, absl::string_view path) {
  static auto& texts = *new std::deque<std::string>();
  const auto keep = [](std::string text) { return texts.emplace_back(std::move(text)).c_str(); };
  const char* value = "NUMBER";
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_BOOL) value = "";
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) value = "JSON";
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) value = "NAME";
  return {keep(absl::StrReplaceAll(field->name(), {{"_", "-"}})), "", keep(std::string(path)),
          value, ""};
}

// Those above, and one for each other field of every optimizer.
const std::vector<ShortName>& AllShortNames() {
  static const auto& all = *new std::vector<ShortName>([] {
    std::vector<ShortName> names(std::begin(kShortNames), std::end(kShortNames));
    const auto add = [&names](const FieldDescriptor* field, const std::string& path) {
      const ShortName name = NameOf(field, path);
      auto place = names.end();
      for (auto entry = names.begin(); entry != names.end(); ++entry) {
        if (entry->path == path) return;
        if (!Is(*entry, name.name)) continue;
        // A word that stands for something else than the optimizer's stands for that alone.
        const FieldDescriptor* const holder = OwnerOf(entry->path).holder;
        if (holder == nullptr || holder->message_type() != v1::Optimizer::descriptor()) return;
        place = entry + 1;
      }
      if (place == names.end()) {
        names.push_back(name);
      } else {
        names.insert(place, {std::prev(place)->name, std::prev(place)->alias, name.path, "", ""});
      }
    };
    const Descriptor& optimizer = *v1::Optimizer::descriptor();
    for (int i = 0; i < optimizer.field_count(); ++i) {
      const FieldDescriptor* const field = optimizer.field(i);
      const std::string path = absl::StrCat("optimizer.", field->name());
      if (field->real_containing_oneof() == nullptr) {
        add(field, path);
        continue;
      }
      const Descriptor& kind = *field->message_type();
      for (int j = 0; j < kind.field_count(); ++j) {
        add(kind.field(j), absl::StrCat(path, ".", kind.field(j)->name()));
      }
    }
    return names;
  }());
  return all;
}

// Paths of the fields of the messages of Run that can be changed and are small: `journal`,
// `checkpoints.keep_last`.
std::vector<std::string> ShallowPaths() {
  std::vector<std::string> paths;
  const Descriptor& run = *v1::Run::descriptor();
  for (int i = 0; i < run.field_count(); ++i) {
    const FieldDescriptor& field = *run.field(i);
    if (!IsLiveField(field.name())) continue;
    paths.push_back(field.name());
    if (field.is_repeated() || field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    for (int j = 0; j < field.message_type()->field_count(); ++j) {
      paths.push_back(absl::StrCat(field.name(), ".", field.message_type()->field(j)->name()));
    }
  }
  return paths;
}

// What was probably meant by the name of a field; empty where nothing is like it.
std::string NearestField(absl::string_view name) {
  const std::vector<std::string> paths = ShallowPaths();
  const std::string wanted = absl::StrReplaceAll(absl::AsciiStrToLower(name), {{"-", "_"}});
  for (const std::string& path : paths) {
    if (absl::EndsWith(path, absl::StrCat(".", wanted))) return path;
  }
  std::vector<std::string> names = paths;
  for (const ShortName& entry : AllShortNames()) {
    if (IsLiveField(entry.path)) names.emplace_back(entry.name);
  }
  const std::string nearest = Nearest(absl::AsciiStrToLower(name), names);
  return nearest.empty() ? Nearest(wanted, names) : nearest;
}

// Only `set` has names that nobody knows: those of `create` are options.
absl::Status UnknownField(absl::string_view name) {
  constexpr size_t kShown = 80;
  const std::string nearest = NearestField(name);
  return UsageError(absl::StrCat(
      "unknown field ", Quoted(Abbreviated(name, kShown)),
      nearest.empty() ? "" : absl::StrCat(", perhaps ", nearest),
      "; a field path of Run, such as optimizer.adam.beta1 or checkpoints.keep_last, or an option "
      "of `gradctl create --help` without its dashes expected"));
}

}  // namespace

absl::Span<const ShortName> ShortNames() { return AllShortNames(); }

bool ConsistsOfNumbers(const FieldDescriptor* field) {
  if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return false;
  const Descriptor& type = *field->message_type();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor::CppType kind = type.field(i)->cpp_type();
    const bool number =
        kind == FieldDescriptor::CPPTYPE_INT64 || kind == FieldDescriptor::CPPTYPE_DOUBLE;
    if (!number || type.field(i)->is_repeated()) return false;
  }
  return true;
}

std::string KindName(absl::string_view field_name) {
  if (v1::Schedule::descriptor()->FindFieldByName(std::string(field_name)) != nullptr) {
    if (field_name != "stable_decay") absl::ConsumeSuffix(&field_name, "_decay");
    return absl::StrReplaceAll(field_name, {{"_", "-"}});
  }
  const Descriptor& policies = *v1::SynchronizationPolicy::descriptor();
  if (policies.FindFieldByName(std::string(field_name)) != nullptr) {
    return absl::StrReplaceAll(field_name, {{"_", "-"}});
  }
  return absl::StrReplaceAll(field_name, {{"_", ""}});
}

absl::StatusOr<const FieldDescriptor*> FindKind(const Descriptor& type, absl::string_view text) {
  const OneofDescriptor& kinds = *type.oneof_decl(0);
  const std::string wanted = Spelling(text);
  for (int i = 0; i < kinds.field_count(); ++i) {
    const std::string name = Spelling(kinds.field(i)->name());
    if (wanted == name || wanted == Spelling(KindName(kinds.field(i)->name()))) {
      return kinds.field(i);
    }
  }
  const std::vector<std::string> names = KindNames(type);
  const std::string nearest = Nearest(absl::AsciiStrToLower(text), names);
  const bool is_policy = &type == v1::SynchronizationPolicy::descriptor();
  const std::string what = is_policy ? "policy" : absl::AsciiStrToLower(type.name());
  return UsageError(absl::StrCat("unknown ", what, " ", Quoted(text),
                                 nearest.empty() ? "" : absl::StrCat(", perhaps ", nearest),
                                 "; there are ", absl::StrJoin(names, ", ")));
}

std::string JsonExample(const Descriptor& type) {
  if (type.field_count() == 0) return "{}";
  const FieldDescriptor& field = *type.field(0);
  std::string value;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      value = JsonExample(*field.message_type());
      break;
    case FieldDescriptor::CPPTYPE_STRING:
      value = "\"text\"";
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      value = "true";
      break;
    case FieldDescriptor::CPPTYPE_ENUM:
      value = absl::StrCat("\"", field.enum_type()->value(1)->name(), "\"");
      break;
    default:
      value = "1";
  }
  if (field.is_repeated()) value = absl::StrCat("[", value, "]");
  return absl::StrCat("{\"", field.name(), "\": ", value, "}");
}

std::vector<std::string> KindNames(const Descriptor& type) {
  std::vector<std::string> names;
  names.reserve(static_cast<size_t>(type.oneof_decl(0)->field_count()));
  for (int i = 0; i < type.oneof_decl(0)->field_count(); ++i) {
    names.push_back(KindName(type.oneof_decl(0)->field(i)->name()));
  }
  return names;
}

std::string KindName(const Message& message) {
  const Descriptor& type = *message.GetDescriptor();
  for (int i = 0; i < type.real_oneof_decl_count(); ++i) {
    const OneofDescriptor* oneof = type.oneof_decl(i);
    if (const FieldDescriptor* member =
            message.GetReflection()->GetOneofFieldDescriptor(message, oneof)) {
      return KindName(member->name());
    }
  }
  return "";
}

std::string EnumText(const google::protobuf::EnumValueDescriptor& value) {
  const std::string prefix = EnumPrefix(*value.type());
  return absl::StrReplaceAll(absl::AsciiStrToLower(value.name().substr(prefix.size())),
                             {{"_", "-"}});
}

bool DependsOnKind(absl::string_view name) {
  return std::any_of(ShortNames().begin(), ShortNames().end(), [&](const ShortName& entry) {
    return Is(entry, name) && OwnerOf(entry.path).member != nullptr;
  });
}

absl::StatusOr<std::string> ResolveField(absl::string_view name, const v1::Run& run) {
  const FieldDescriptor* holder = nullptr;
  std::vector<std::string> owners;
  for (const ShortName& entry : AllShortNames()) {
    if (!Is(entry, name)) continue;
    const Owner owner = OwnerOf(entry.path);
    if (owner.member == nullptr || Uses(run, owner)) return entry.path;
    holder = owner.holder;
    owners.push_back(KindName(owner.member->name()));
  }
  if (holder != nullptr) {
    const std::string used = KindName(run.GetReflection()->GetMessage(run, holder));
    return UsageError(absl::StrCat(name, " belongs to the ", holder->name(), " ",
                                   absl::StrJoin(owners, " or "), ", and this run's is ",
                                   used.empty() ? "not set" : used));
  }
  const std::string first(name.substr(0, name.find('.')));
  if (v1::Run::descriptor()->FindFieldByName(first) == nullptr) return UnknownField(name);
  return std::string(name);
}

absl::Status SetField(absl::string_view path, absl::string_view text, v1::Run* run) {
  if (path == "schedule.learning_rate" && text == "default") {
    return UsageError("schedule.learning_rate: there is no default; a number expected");
  }
  Message* message = run;
  const std::vector<std::string> parts = absl::StrSplit(path, '.');
  const auto wrong = [&](const std::string& part, absl::string_view what) {
    constexpr size_t kShown = 80;
    return UsageError(absl::StrCat(Abbreviated(path, kShown), ": ", Quoted(part), what));
  };
  for (size_t i = 0; i < parts.size(); ++i) {
    const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(parts[i]);
    if (field == nullptr) {
      return wrong(parts[i], absl::StrCat(" is no field of ", message->GetDescriptor()->name()));
    }
    if (field->is_repeated()) {
      if (i + 1 == parts.size()) return SetList(path, text, field, message);
      return wrong(parts[i], " is a list, set only as a whole");
    }
    if (i + 1 == parts.size()) return SetLeaf(path, text, field, message);
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      return wrong(parts[i], " has no fields");
    }
    message = message->GetReflection()->MutableMessage(message, field);
  }
  return absl::OkStatus();
}

absl::StatusOr<absl::Duration> ParseDurationText(absl::string_view text) {
  double seconds = 0;
  absl::Duration duration;
  if (absl::SimpleAtod(text, &seconds)) {
    duration = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(text, &duration)) {
    return UsageError(absl::StrCat(Quoted(text), " is not a duration such as 60, 60s or 1m30s"));
  }
  // Infinite and NaN have no place in a protobuf Duration.
  if (duration == absl::InfiniteDuration() || duration == -absl::InfiniteDuration() ||
      seconds != seconds) {
    return UsageError(absl::StrCat(Quoted(text), " is not a finite duration"));
  }
  return duration;
}

}  // namespace gradd::ctl

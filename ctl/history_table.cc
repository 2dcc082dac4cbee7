#include "ctl/history_table.h"

#include <array>
#include <charconv>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"

namespace gradd::ctl {
namespace {

constexpr char kLineEnd[] = "\r\n";

std::string CsvField(const std::string& field) {
  if (field.find_first_of(",\"\r\n") == std::string::npos) return field;
  return absl::StrCat("\"", absl::StrReplaceAll(field, {{"\"", "\"\""}}), "\"");
}

std::string Number(double value) {
  std::array<char, 32> text;
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

std::string Time(double seconds) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixMillis(std::llround(seconds * 1e3)),
                          absl::UTCTimeZone());
}

// `descending`; empty where it is not known.
std::string PhaseText(const v1::StepPoints& steps, int i) {
  if (steps.phases_size() == 0 || steps.phases(i) == v1::PHASE_UNSPECIFIED) return "";
  return absl::AsciiStrToLower(absl::StripPrefix(v1::Phase_Name(steps.phases(i)), "PHASE_"));
}

std::string StepRow(const std::string& run, const v1::StepPoints& steps, int i) {
  std::string row =
      absl::StrCat(run, ",", steps.timelines(i), ",", steps.steps(i), ",", Time(steps.times(i)));
  for (const double value :
       {steps.losses(i), steps.smoothed_losses(i), steps.learning_rates(i), steps.gradient_norms(i),
        steps.update_norms(i), steps.parameter_norms(i), steps.examples_per_second(i)}) {
    absl::StrAppend(&row, ",", Number(value));
  }
  return absl::StrCat(row, ",", PhaseText(steps, i), ",,", kLineEnd);
}

std::string EvaluationRow(const std::string& run, const v1::EvaluationPoints& evaluations, int i) {
  const double accuracy = evaluations.accuracies(i);
  return absl::StrCat(run, ",", evaluations.timelines(i), ",", evaluations.steps(i), ",",
                      Time(evaluations.times(i)), ",,,,,,,,,", Number(evaluations.losses(i)), ",",
                      std::isnan(accuracy) ? "" : Number(accuracy), kLineEnd);
}

}  // namespace

std::string HistoryTable(const std::vector<NamedHistory>& runs) {
  std::string table = absl::StrCat(
      "run,timeline,step,time,loss,smoothed_loss,learning_rate,gradient_norm,update_norm,"
      "parameter_norm,examples_per_second,phase,evaluation_loss,evaluation_accuracy",
      kLineEnd);
  for (const NamedHistory& run : runs) {
    const std::string name = CsvField(run.run);
    const v1::StepPoints& steps = run.history.steps();
    const v1::EvaluationPoints& evaluations = run.history.evaluations();
    int next = 0;
    for (int i = 0; i < steps.steps_size(); ++i) {
      for (; next < evaluations.steps_size() && evaluations.times(next) < steps.times(i); ++next) {
        table += EvaluationRow(name, evaluations, next);
      }
      table += StepRow(name, steps, i);
    }
    for (; next < evaluations.steps_size(); ++next) table += EvaluationRow(name, evaluations, next);
  }
  return table;
}

}  // namespace gradd::ctl

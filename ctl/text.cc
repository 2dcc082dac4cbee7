#include "ctl/text.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/duration.h"
#include "core/base/utf8.h"
#include "ctl/condition.h"

namespace gradd::ctl {
namespace {

constexpr size_t kLeastBar = 8;
constexpr size_t kGreatestBar = 60;
constexpr size_t kBarFrame = 2;
constexpr absl::string_view kGap = "  ";

// A part of the line. The one with the greatest rank is left out first.
struct Part {
  std::string text;
  int rank = 0;
  // Room for the text in the next updates, so that the line keeps its shape when a number gets a
  // digit more.
  size_t reserved = 0;

  size_t columns() const { return std::max(text.size(), reserved); }
};

// A last step, or the end of its data.
bool HasEnd(const v1::RunProgress& progress) {
  return progress.max_steps() > 0 || progress.data().batches() > 0;
}

double Share(int64_t done, int64_t of_all) {
  if (of_all <= 0) return 0;
  return std::clamp(static_cast<double>(done) / static_cast<double>(of_all), 0.0, 1.0);
}

// Of the way to the end that comes first.
double Fraction(const v1::RunProgress& progress) {
  return std::max(Share(progress.step(), progress.max_steps()),
                  Share(progress.data().used_batches(), progress.data().batches()));
}

// What is going on, where that is not simply that time passes.
std::string StateText(const v1::RunProgress& progress, bool with_reason) {
  std::string word = ConditionWord(progress);
  if (word != "running") return with_reason ? ConditionText(progress) : word;
  std::string text;
  if (progress.has_time_left()) {
    text = absl::StrCat(ClockText(FromProto(progress.time_left())), " left");
  }
  if (with_reason && !progress.reason().empty()) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", progress.reason());
  }
  return text;
}

// The bar is left out after what has a greater rank.
constexpr int kBarRank = 6;

// Ranks follow what one looks for in a narrow window. The bar is not among the parts.
std::vector<Part> Parts(absl::string_view run, const v1::RunProgress& progress, bool with_reason) {
  std::vector<Part> parts;
  parts.push_back({std::string(run), 2});
  if (HasEnd(progress)) {
    // Rounded down: 100 % is only said when it is so.
    parts.push_back({absl::StrFormat("%2d %%", static_cast<int>(100 * Fraction(progress))), 0, 5});
  }
  if (progress.max_steps() > 0) {
    const std::string last = absl::StrCat("/", progress.max_steps());
    parts.push_back({absl::StrCat("step ", progress.step(), last), 3, 4 + 2 * last.size()});
  } else {
    parts.push_back({absl::StrCat("step ", progress.step()), HasEnd(progress) ? 3 : 0});
  }
  if (const v1::DataProgress& data = progress.data(); data.batches() > 0) {
    const int64_t epoch = std::min(data.epoch() + 1, data.epochs());
    parts.push_back({absl::StrCat("epoch ", epoch, "/", data.epochs()), 4});
  }
  if (progress.has_loss() && std::isfinite(progress.loss())) {
    parts.push_back({absl::StrCat("loss ", LossText(progress.loss())), 1, 11});
  }
  if (progress.evaluation().has_accuracy() && std::isfinite(progress.evaluation().accuracy())) {
    parts.push_back({absl::StrFormat("accuracy %.4f", progress.evaluation().accuracy()), 5});
  }
  if (std::isfinite(progress.learning_rate())) {
    parts.push_back({absl::StrFormat("lr %.4g", progress.learning_rate()), 8, 12});
  }
  if (progress.state() != v1::RUN_STATE_FINISHED && std::isfinite(progress.examples_per_second()) &&
      progress.examples_per_second() > 0) {
    parts.push_back({absl::StrCat(RateText(progress.examples_per_second()), " examples/s"), 7, 16});
  }
  if (const std::string state = StateText(progress, with_reason); !state.empty())
    parts.push_back({state, 4, 10});
  return parts;
}

size_t Columns(const std::vector<Part>& parts) {
  size_t columns = 0;
  for (const Part& part : parts) columns += part.columns() + kGap.size();
  return columns == 0 ? 0 : columns - kGap.size();
}

std::vector<Part>::const_iterator LeastImportant(const std::vector<Part>& parts) {
  return std::max_element(parts.begin(), parts.end(),
                          [](const Part& a, const Part& b) { return a.rank < b.rank; });
}

std::string Join(const std::vector<Part>& parts) {
  return absl::StrJoin(parts, kGap,
                       [](std::string* out, const Part& part) { out->append(part.text); });
}

bool IsNumber(absl::string_view cell) {
  return !cell.empty() && absl::ascii_isdigit(static_cast<unsigned char>(cell[0]));
}

// Whether a column has numbers, and nothing else but `-` where one is unknown.
bool IsNumeric(const std::vector<std::vector<std::string>>& rows, size_t column) {
  bool numeric = false;
  for (const std::vector<std::string>& row : rows) {
    if (IsNumber(row[column])) {
      numeric = true;
    } else if (row[column] != "-") {
      return false;
    }
  }
  return numeric;
}

std::string Bar(double fraction, size_t columns) {
  const auto full = static_cast<size_t>(fraction * static_cast<double>(columns));
  return absl::StrCat("[", std::string(full, '#'), std::string(columns - full, '-'), "]");
}

}  // namespace

std::string RateText(double number) {
  constexpr absl::string_view kUnits[] = {"", "k", "M", "G", "T", "P"};
  size_t unit = 0;
  // 999.5 would be rounded to a fourth digit.
  while (number >= 999.5 && unit + 1 < std::size(kUnits)) {
    number /= 1000;
    ++unit;
  }
  return absl::StrCat(absl::StrFormat("%.3g", number), kUnits[unit]);
}

std::string LossText(double loss) {
  const double size = std::abs(loss);
  const bool plain = size == 0 || (size >= 0.001 && size < 100'000);
  return plain ? absl::StrFormat("%.4f", loss) : absl::StrFormat("%.3g", loss);
}

std::string ClockText(absl::Duration duration) {
  const int64_t seconds =
      std::max<int64_t>(0, absl::ToInt64Seconds(absl::Ceil(duration, absl::Seconds(1))));
  const int64_t minutes = seconds / 60;
  if (minutes < 60) return absl::StrFormat("%d:%02d", minutes, seconds % 60);
  return absl::StrFormat("%d:%02d:%02d", minutes / 60, minutes % 60, seconds % 60);
}

std::string Table(const std::vector<std::string>& headings,
                  const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths(headings.size());
  std::vector<bool> numbers(headings.size());
  for (size_t i = 0; i < headings.size(); ++i) {
    widths[i] = headings[i].size();
    for (const std::vector<std::string>& row : rows) widths[i] = std::max(widths[i], row[i].size());
    numbers[i] = IsNumeric(rows, i);
  }
  std::string text;
  const auto add = [&](const std::vector<std::string>& row) {
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - row[i].size(), ' ');
      absl::StrAppend(&text, i == 0 ? absl::string_view() : kGap, numbers[i] ? padding : "", row[i],
                      numbers[i] ? "" : padding);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  };
  add(headings);
  for (const std::vector<std::string>& row : rows) add(row);
  return text;
}

std::string FittedTable(std::vector<std::string> headings,
                        std::vector<std::vector<std::string>> rows, int width,
                        const std::vector<std::string>& dispensable) {
  // Columns in which the rows differ in width need all that the widest of them has.
  const auto columns = [&] {
    size_t sum = 0;
    for (size_t i = 0; i < headings.size(); ++i) {
      size_t widest = headings[i].size();
      for (const auto& row : rows) widest = std::max(widest, row[i].size());
      const bool last = i + 1 == headings.size();
      sum += last ? std::min(widest, kLeastLastColumn) : widest + kGap.size();
    }
    return sum;
  };
  const auto room = static_cast<size_t>(std::max(width, 0));
  for (const std::string& heading : dispensable) {
    if (room == 0 || columns() <= room) break;
    const auto found = std::find(headings.begin(), headings.end(), heading);
    if (found == headings.end()) continue;
    const auto at = found - headings.begin();
    headings.erase(found);
    for (auto& row : rows) row.erase(row.begin() + at);
  }
  std::string text = Table(headings, rows);
  if (room == 0) return text;
  std::vector<std::string> lines = absl::StrSplit(text, '\n');
  for (std::string& line : lines) {
    if (line.size() <= room) continue;
    constexpr size_t kDots = 3;
    line = room > kDots ? Abbreviated(line, room - kDots) : line.substr(0, room);
  }
  return absl::StrJoin(lines, "\n");
}

std::string ProgressLine(absl::string_view run, const v1::RunProgress& progress, int width) {
  const auto room = static_cast<size_t>(std::max(width, 1));
  std::vector<Part> parts = Parts(run, progress, /*with_reason=*/false);
  const size_t bar = HasEnd(progress) ? kLeastBar + kBarFrame + kGap.size() : 0;
  while (parts.size() > 1 && Columns(parts) + bar > room) {
    if (bar > 0 && LeastImportant(parts)->rank < kBarRank && Columns(parts) <= room) break;
    parts.erase(LeastImportant(parts));
  }
  if (bar > 0 && Columns(parts) + bar <= room) {
    const size_t columns = std::min(kGreatestBar, kLeastBar + room - (Columns(parts) + bar));
    const bool named = parts.front().text == run;
    parts.insert(parts.begin() + (named ? 1 : 0), {Bar(Fraction(progress), columns)});
  }
  return Join(parts).substr(0, room);
}

std::string ProgressLogLine(absl::string_view run, const v1::RunProgress& progress) {
  return Join(Parts(run, progress, /*with_reason=*/true));
}

}  // namespace gradd::ctl

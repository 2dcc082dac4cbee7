#include "ctl/landscape.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "ctl/contour_map.h"
#include "ctl/entry.h"
#include "ctl/landscape_paths.h"
#include "ctl/outputs.h"
#include "ctl/status.h"
#include "ctl/status_line.h"
#include "ctl/text.h"
#include "nlohmann/json.hpp"

namespace gradd::ctl {
namespace {

// Rates to choose from where none is given: half decades from 1e-4 to 10.
constexpr int kCandidates = 11;
double Candidate(int index) {
  constexpr double kHalfDecade = 0.5;
  return std::stod(absl::StrFormat("%.1e", 1e-4 * std::pow(10, kHalfDecade * index)));
}

absl::StatusOr<const LandscapeInfo*> FindLandscape(const std::string& name) {
  for (const LandscapeInfo& info : Landscapes()) {
    if (info.name == name) return &info;
  }
  return UsageError(absl::StrCat("no landscape ", Quoted(name), "; there are ", LandscapeNames()));
}

absl::StatusOr<Point> ParseStart(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ',');
  Point point;
  bool valid = parts.size() == point.size();
  for (size_t axis = 0; valid && axis < point.size(); ++axis) {
    valid = absl::SimpleAtod(parts[axis], &point[axis]) && std::isfinite(point[axis]) &&
            std::abs(point[axis]) <= static_cast<double>(std::numeric_limits<float>::max());
  }
  if (valid) return point;
  return UsageError(absl::StrCat("--start: ", Quoted(text),
                                 " found, two finite numbers such as -1.5,2 expected"));
}

// One entry's walk: the best one, where rates were tried.
struct Result {
  Entry entry;
  Walk walk;
};

double ValueAtEnd(Landscape landscape, const Walk& walk) {
  if (walk.path.empty()) return std::numeric_limits<double>::infinity();
  const double value = SlopeAt(landscape, walk.path.back()).value;
  return std::isfinite(value) ? value : std::numeric_limits<double>::infinity();
}

// A walk that diverged has its last finite point, which may even be a low one.
bool Completed(const Walk& walk, int64_t steps) {
  return static_cast<int64_t>(walk.path.size()) == steps + 1;
}

absl::StatusOr<std::vector<Result>> WalkEntries(const WalkOptions& options,
                                                const std::vector<Entry>& entries, bool json,
                                                Client* client, Console* console) {
  std::vector<Walk> walks;
  for (const Entry& entry : entries) {
    const int count = entry.rate.has_value() ? 1 : kCandidates;
    for (int i = 0; i < count; ++i) {
      walks.push_back({entry.optimizer, entry.rate.value_or(Candidate(i)), {}});
    }
  }
  StatusLine status(json, console);
  size_t done = 0;
  GRADD_RETURN_IF_ERROR(WalkAll(client, options, &walks, [&] {
    status.Show(absl::StrCat("walk ", ++done, "/", walks.size()));
  }));
  std::vector<Result> results;
  size_t begin = 0;
  for (const Entry& entry : entries) {
    const size_t end = begin + (entry.rate.has_value() ? 1 : kCandidates);
    const auto first = walks.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto best = std::min_element(
        first, walks.begin() + static_cast<std::ptrdiff_t>(end), [&](const Walk& a, const Walk& b) {
          const bool a_completed = Completed(a, options.steps);
          const bool b_completed = Completed(b, options.steps);
          if (a_completed != b_completed) return a_completed;
          return ValueAtEnd(options.landscape, a) < ValueAtEnd(options.landscape, b);
        });
    results.push_back({entry, std::move(*best)});
    begin = end;
  }
  return results;
}

std::string TextTable(const WalkOptions& options, const std::vector<Result>& results) {
  std::vector<std::vector<std::string>> rows;
  for (const Result& result : results) {
    const Point end = result.walk.path.back();
    rows.push_back({result.entry.name,
                    absl::StrFormat("%.2g%s", result.walk.rate,
                                    !result.entry.rate.has_value() ? " found"
                                    : result.entry.rate_is_own     ? " own"
                                                                   : ""),
                    absl::StrCat(result.walk.path.size() - 1),
                    absl::StrFormat("%.4g, %.4g", end[0], end[1]),
                    absl::StrFormat("%.3g", ValueAtEnd(options.landscape, result.walk)),
                    Completed(result.walk, options.steps) ? "" : "diverged"});
  }
  return Table({"OPTIMIZER", "LR", "STEPS", "END", "VALUE", ""}, rows);
}

std::string Csv(const WalkOptions& options, const std::vector<Result>& results) {
  std::string text = "optimizer,learning_rate,step,x,y,value\n";
  for (const Result& result : results) {
    for (size_t step = 0; step < result.walk.path.size(); ++step) {
      const Point& point = result.walk.path[step];
      absl::StrAppendFormat(&text, "\"%s\",%.9g,%d,%.9g,%.9g,%.9g\n", result.entry.name,
                            result.walk.rate, step, point[0], point[1],
                            SlopeAt(options.landscape, point).value);
    }
  }
  return text;
}

std::string Json(const LandscapeInfo& info, const std::vector<Result>& results) {
  nlohmann::ordered_json json = {{"landscape", info.name},
                                 {"paths", nlohmann::ordered_json::array()}};
  for (const Result& result : results) {
    nlohmann::ordered_json points = nlohmann::ordered_json::array();
    for (const Point& point : result.walk.path) {
      points.push_back({point[0], point[1], SlopeAt(info.landscape, point).value});
    }
    json["paths"].push_back({{"optimizer", result.entry.name},
                             {"learning_rate", result.walk.rate},
                             {"learning_rate_was_found", !result.entry.rate.has_value()},
                             {"learning_rate_is_own", result.entry.rate_is_own},
                             {"points", std::move(points)}});
  }
  return json.dump() + "\n";
}

}  // namespace

std::string LandscapeNames() {
  return absl::StrJoin(Landscapes(), ", ", [](std::string* out, const LandscapeInfo& info) {
    absl::StrAppend(out, info.name);
  });
}

absl::Status DrawLandscape(const CommandLine& line, Client* client, Console* console) {
  const absl::StatusOr<const LandscapeInfo*> info = FindLandscape(line.landscape);
  GRADD_RETURN_IF_ERROR(info.status());
  const absl::StatusOr<Point> start = line.start.empty() ? (*info)->start : ParseStart(line.start);
  GRADD_RETURN_IF_ERROR(start.status());
  const absl::StatusOr<std::vector<Entry>> entries =
      line.entries.empty() ? AllEntries() : ParseEntries(line.entries);
  GRADD_RETURN_IF_ERROR(entries.status());
  if (line.walk_steps < 1)
    return UsageError(absl::StrCat("--steps: ", line.walk_steps, " is below 1"));
  if (!std::isfinite(line.gradient_noise) || line.gradient_noise < 0) {
    return UsageError(absl::StrCat("--gradient-noise: ", line.gradient_noise,
                                   ", a finite number of at least 0 expected"));
  }
  absl::StatusOr<Outputs> outputs = Outputs::Open(line.svg, line.csv);
  GRADD_RETURN_IF_ERROR(outputs.status());

  WalkOptions options;
  options.landscape = (*info)->landscape;
  options.start = *start;
  options.gradient_noise = line.gradient_noise;
  options.seed = line.seed;
  options.steps = line.walk_steps;
  const absl::StatusOr<std::vector<Result>> results =
      WalkEntries(options, *entries, line.json, client, console);
  GRADD_RETURN_IF_ERROR(results.status());
  std::vector<NamedPath> paths;
  for (const Result& result : *results) {
    const std::string name =
        result.entry.rate.has_value()
            ? result.entry.name
            : absl::StrFormat("%s (%.2g)", result.entry.name, result.walk.rate);
    paths.push_back({name, result.walk.path});
  }
  GRADD_RETURN_IF_ERROR(outputs->WriteSvg([&] { return DrawContourMaps(**info, paths); }));
  GRADD_RETURN_IF_ERROR(outputs->WriteCsv([&] { return Csv(options, *results); }));
  console->out << (line.json ? Json(**info, *results) : TextTable(options, *results));
  return absl::OkStatus();
}

}  // namespace gradd::ctl

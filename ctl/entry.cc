#include "ctl/entry.h"

#include <map>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "core/optim/own_rate.h"
#include "ctl/fields.h"
#include "ctl/requests.h"
#include "ctl/status.h"

namespace gradd::ctl {
namespace {

constexpr char kRate[] = "learning-rate";

absl::StatusOr<Entry> ParseEntry(const std::string& text) {
  const auto wrong = [&text](absl::string_view what) {
    return UsageError(absl::StrCat(Quoted(text), ": ", what));
  };
  const std::pair<std::string, std::string> parts = absl::StrSplit(text, absl::MaxSplits(':', 1));
  NewRun run;
  run.optimizer = parts.first;
  run.schedule = "constant";
  if (absl::StrContains(text, ':') && parts.second.empty()) return wrong("nothing after the colon");
  const std::vector<std::string> values =
      parts.second.empty() ? std::vector<std::string>() : absl::StrSplit(parts.second, ',');
  for (const std::string& value : values) {
    if (absl::StrContains(value, '=')) {
      absl::StatusOr<Assignment> assignment = ParseAssignment(value);
      if (!assignment.ok()) return wrong(assignment.status().message());
      run.fields.push_back(*std::move(assignment));
    } else {
      run.fields.emplace_back(kRate, value);
    }
  }
  std::set<std::string> names;
  for (const Assignment& field : run.fields) {
    if (!names.insert(field.first).second)
      return wrong(absl::StrCat(Quoted(field.first), " stands twice"));
  }
  const absl::StatusOr<v1::CreateRunRequest> request = MakeCreateRequest(run, v1::Layout());
  if (!request.ok()) return wrong(request.status().message());
  Entry entry;
  entry.name = text;
  entry.optimizer = request->run().optimizer();
  const v1::Schedule& schedule = request->run().schedule();
  if (schedule.has_learning_rate()) entry.rate = schedule.learning_rate();

  // The same with nothing but these.
  run.fields.clear();
  v1::Run alone = MakeCreateRequest(run, v1::Layout())->run();
  *alone.mutable_optimizer() = entry.optimizer;
  if (entry.rate.has_value()) alone.mutable_schedule()->set_learning_rate(*entry.rate);
  if (alone.SerializeAsString() != request->run().SerializeAsString()) {
    return wrong("an entry has a learning rate and values of its optimizer, and nothing else");
  }
  if (!entry.rate.has_value()) {
    entry.rate = OwnRate(entry.optimizer.kind_case());
    entry.rate_is_own = entry.rate.has_value();
  }
  return entry;
}

}  // namespace

absl::StatusOr<std::vector<Entry>> ParseEntries(const std::vector<std::string>& texts) {
  std::vector<Entry> entries;
  std::map<std::string, std::string> known;  // What an entry means -> its name.
  for (const std::string& text : texts) {
    absl::StatusOr<Entry> entry = ParseEntry(text);
    if (!entry.ok()) return entry.status();
    const std::string meaning =
        absl::StrCat(entry->optimizer.SerializeAsString(), " ",
                     entry->rate.has_value() ? absl::StrCat(*entry->rate) : "");
    const auto [same, is_new] = known.emplace(meaning, text);
    if (!is_new) {
      return UsageError(absl::StrCat(Quoted(same->second), " and ", Quoted(text), " are the same"));
    }
    entries.push_back(*std::move(entry));
  }
  return entries;
}

std::vector<Entry> AllEntries() { return *ParseEntries(KindNames(*v1::Optimizer::descriptor())); }

}  // namespace gradd::ctl

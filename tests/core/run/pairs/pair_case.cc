#include "tests/core/run/pairs/pair_case.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "tests/core/run/pairs/exclusions.h"

namespace gradd {
namespace {

const OptimizerCase& RowNamed(const std::string& name) {
  const std::vector<OptimizerCase>& table = OptimizerTable();
  return *std::find_if(table.begin(), table.end(),
                       [&name](const OptimizerCase& row) { return row.name == name; });
}

PairCase CaseOf(const FactorRow& row) {
  PairCase pair;
  pair.row = &OptimizerTable()[static_cast<size_t>(row[0])];
  pair.stage = static_cast<Stage>(row[1]);
  pair.change = static_cast<LiveChange>(row[2]);
  pair.form = static_cast<PushForm>(row[3]);
  pair.policy = static_cast<Policy>(row[4]);
  pair.restart = static_cast<Restart>(row[5]);
  pair.examples = static_cast<Examples>(row[6]);
  return pair;
}

// Of OptimizerTable() and the stages and changes, once and for all.
struct Possible {
  Possible() {
    for (const OptimizerCase& row : OptimizerTable()) {
      std::vector<bool>& stages = with_stage.emplace_back();
      std::vector<bool>& next = with_next.emplace_back();
      std::vector<bool>& kind = with_other_kind.emplace_back();
      std::vector<bool>& changes = with_change.emplace_back();
      for (int change = 0; change < kLiveChanges; ++change) {
        changes.push_back(ExclusionOf(row, static_cast<LiveChange>(change)) == nullptr);
      }
      for (int stage = 0; stage < kStages; ++stage) {
        stages.push_back(ExclusionOf(row, static_cast<Stage>(stage)) == nullptr);
        next.push_back(NextRowOfKind(row, static_cast<Stage>(stage)) != nullptr);
        kind.push_back(ExclusionOf(RowOfOtherKind(row), static_cast<Stage>(stage)) == nullptr);
      }
    }
  }
  std::vector<std::vector<bool>> with_stage;
  std::vector<std::vector<bool>> with_change;
  // Whether there is a row to change to.
  std::vector<std::vector<bool>> with_next;
  std::vector<std::vector<bool>> with_other_kind;
};

}  // namespace

std::string NameOf(Policy policy) {
  constexpr const char* kNames[] = {
      "synchronous",  "synchronous_window",  "synchronous_deadline", "quorum_carried",
      "asynchronous", "asynchronous_window", "asynchronous_slower",  "delay_compensation",
      "age_decay",    "bounded_staleness"};
  return kNames[static_cast<size_t>(policy)];
}

std::string NameOf(LiveChange change) {
  constexpr const char* kNames[] = {
      "no_change", "rate",   "schedule", "plateau", "hyper_parameters",
      "kind",      "groups", "freeze",   "policy",  "window",
      "max_steps", "clip",   "join",     "decay",   "pause"};
  return kNames[static_cast<size_t>(change)];
}

std::string NameOf(Restart restart) {
  constexpr const char* kNames[] = {"no_restart", "leaves", "dies", "expires", "takes_over"};
  return kNames[static_cast<size_t>(restart)];
}

std::string NameOf(Examples examples) {
  return examples == Examples::kOwn ? "own_examples" : "leased_batches";
}

std::string NameOf(const PairCase& pair) {
  return absl::StrCat(pair.number, " ", pair.row->name, " ", NameOf(pair.stage), " ",
                      NameOf(pair.change), " ", NameOf(pair.form), " ", NameOf(pair.policy), " ",
                      NameOf(pair.restart), " ", NameOf(pair.examples));
}

std::vector<int> PairFactors() {
  return {static_cast<int>(OptimizerTable().size()),
          kStages,
          kLiveChanges,
          kPushForms,
          kPolicies,
          kRestarts,
          kExampleSources};
}

bool MayBeTogether(const FactorRow& row) {
  static const auto& possible = *new Possible;
  const int optimizer = row[0];
  if (optimizer == kOpenFactor) return true;
  const auto index = static_cast<size_t>(optimizer);
  const auto stage = static_cast<size_t>(row[1] == kOpenFactor ? 0 : row[1]);
  if (!possible.with_stage[index][stage]) return false;
  if (row[2] != kOpenFactor && !possible.with_change[index][static_cast<size_t>(row[2])]) {
    return false;
  }
  if (row[2] == static_cast<int>(LiveChange::kHyperParameters)) {
    return possible.with_next[index][stage];
  }
  return row[2] != static_cast<int>(LiveChange::kKind) || possible.with_other_kind[index][stage];
}

const std::vector<PairCase>& PairCases() {
  static const auto& cases = *new std::vector<PairCase>([] {
    std::vector<PairCase> made;
    for (const FactorRow& row : CoverPairs(PairFactors(), MayBeTogether)) {
      made.push_back(CaseOf(row));
      made.back().number = static_cast<int>(made.size()) - 1;
    }
    return made;
  }());
  return cases;
}

const OptimizerCase* NextRowOfKind(const OptimizerCase& row, Stage stage) {
  if (ExclusionOf(row, LiveChange::kHyperParameters) != nullptr) return nullptr;
  const std::vector<OptimizerCase>& table = OptimizerTable();
  const auto at = static_cast<size_t>(&row - table.data());
  for (size_t i = 1; i < table.size(); ++i) {
    const OptimizerCase& next = table[(at + i) % table.size()];
    if (OptimizerOf(next).kind_case() == OptimizerOf(row).kind_case() && next.spec != row.spec &&
        ExclusionOf(next, stage) == nullptr &&
        ExclusionOf(next, LiveChange::kHyperParameters) == nullptr) {
      return &next;
    }
  }
  return nullptr;
}

const OptimizerCase& RowOfOtherKind(const OptimizerCase& row) {
  const v1::Optimizer& spec = OptimizerOf(row);
  switch (spec.kind_case()) {
    case v1::Optimizer::kAmsGrad:
      return RowNamed("adam_options");
    // Kinds that keep something of the same name that is not the same.
    case v1::Optimizer::kProdigy:
      return RowNamed("d_adapt_adam_options");
    case v1::Optimizer::kDAdaptAdam:
      return RowNamed("prodigy_options");
    case v1::Optimizer::kMomentum:
    case v1::Optimizer::kNesterov:
      return RowNamed("lars_options");
    case v1::Optimizer::kLars:
    case v1::Optimizer::kNovoGrad:
      return RowNamed("momentum");
    case v1::Optimizer::kRmsProp:
      return RowNamed(spec.rms_prop().momentum() > 0 ? "momentum_dampening" : "ams_grad_options");
    default:
      return RowNamed("ams_grad_options");
  }
}

}  // namespace gradd

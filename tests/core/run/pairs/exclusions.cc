#include "tests/core/run/pairs/exclusions.h"

#include <algorithm>

namespace gradd {
namespace {

using Kind = v1::Optimizer::KindCase;
using Why = Exclusion::Why;

std::function<bool(const OptimizerCase&)> OfKinds(std::set<Kind> kinds) {
  return [kinds = std::move(kinds)](const OptimizerCase& row) {
    return kinds.count(OptimizerOf(row).kind_case()) > 0;
  };
}

const std::set<Stage>& CoupledStages() {
  static const auto& stages = *new std::set<Stage>{Stage::kCoupledDecay, Stage::kGroupWithoutDecay};
  return stages;
}

const std::set<Stage>& DecayStages() {
  static const auto& stages =
      *new std::set<Stage>{Stage::kCoupledDecay, Stage::kDecoupledDecay, Stage::kGroupWithoutDecay};
  return stages;
}

bool DecaysByDefault(const OptimizerCase& row) {
  return OfKinds({Kind::kAdamW, Kind::kAdaMaxW, Kind::kNAdamW})(row);
}

template <typename Matches>
const Exclusion* Find(const OptimizerCase& row, const Matches& matches) {
  const std::vector<Exclusion>& all = Exclusions();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Exclusion& exclusion) {
    return matches(exclusion) && exclusion.rows(row);
  });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace

const std::vector<Exclusion>& Exclusions() {
  static const auto& exclusions = *new std::vector<Exclusion>{
      {Why::kRefused,
       "the optimizer keeps an average of its own",
       OfKinds({Kind::kAsgd}),
       {Stage::kAverage, Stage::kEverything}},
      {Why::kRefused,
       "WEIGHT_DECAY_MODE_COUPLED is not for this kind",
       DecaysByDefault,
       CoupledStages(),
       {LiveChange::kDecay}},
      {Why::kRefused,
       "and optimizer.weight_decay is",
       [](const OptimizerCase& row) { return OptimizerOf(row).ftrl().l2() > 0; },
       DecayStages(),
       {LiveChange::kDecay}},
      {Why::kRefused,
       "WEIGHT_DECAY_MODE_DECOUPLED is not for this kind",
       OfKinds({Kind::kMadgrad, Kind::kFtrl}),
       {Stage::kDecoupledDecay}},
      {Why::kRefused,
       "for cocob, expected WEIGHT_DECAY_MODE_COUPLED",
       [](const OptimizerCase& row) {
         return OptimizerOf(row).has_cocob() && OptimizerOf(row).weight_decay() == 0;
       },
       {Stage::kDecoupledDecay}},
      {Why::kRowHasDecay,
       "",
       [](const OptimizerCase& row) {
         return OptimizerOf(row).weight_decay() > 0 ||
                (DecaysByDefault(row) && !OptimizerOf(row).has_weight_decay());
       },
       DecayStages(),
       {LiveChange::kDecay}},
      {Why::kOwnRow,
       "",
       OfKinds({Kind::kAdan, Kind::kDAdaptAdam, Kind::kProdigy, Kind::kDog, Kind::kDowg,
                Kind::kScheduleFreeSgd, Kind::kScheduleFreeAdam, Kind::kPolyakStepSize, Kind::kMomo,
                Kind::kMomoAdam, Kind::kLamb, Kind::kNovoGrad, Kind::kFromage}),
       {Stage::kDecoupledDecay}},
      {Why::kOwnRow, "", OfKinds({Kind::kLars}), CoupledStages(), {LiveChange::kDecay}},
      {Why::kNothingToSay,
       "the Adam that Muon has for vectors decays at its own rate, where that differs, and the "
       "reference knows one rate",
       [](const OptimizerCase& row) {
         return OptimizerOf(row).muon().has_adam_learning_rate_factor();
       },
       {Stage::kDecoupledDecay}},
      {Why::kNothingToSay,
       "its sum z is of one alpha and one l2 in the paper; what it becomes when they change is "
       "gradd's own (core/optim/ftrl.h)",
       OfKinds({Kind::kFtrl}),
       {},
       {LiveChange::kHyperParameters}},
      {Why::kNothingToSay,
       "the sum of weights of one power cannot go on with weights of another",
       [](const OptimizerCase& row) {
         return row.name == "schedule_free_sgd_options" || row.name == "schedule_free_adam_options";
       },
       {},
       {LiveChange::kHyperParameters}},
      {Why::kNothingToSay,
       "the paper does not say whether another initial distance is for a run that has begun",
       [](const OptimizerCase& row) { return row.name == "dog_options"; },
       {},
       {LiveChange::kHyperParameters}}};
  return exclusions;
}

const Exclusion* ExclusionOf(const OptimizerCase& row, Stage stage) {
  return Find(row, [stage](const Exclusion& each) { return each.stages.count(stage) > 0; });
}

const Exclusion* ExclusionOf(const OptimizerCase& row, LiveChange change) {
  return Find(row, [change](const Exclusion& each) { return each.changes.count(change) > 0; });
}

}  // namespace gradd

#include "core/step/step_decision.h"

#include <algorithm>

namespace gradd {
namespace {

double Share(int64_t examples, int64_t of_all) {
  return static_cast<double>(examples) / static_cast<double>(of_all);
}

void Describe(const WaitingPush& push, int64_t of_all, const Verdict& verdict,
              state::v1::DecidedPush* decided) {
  decided->set_worker(push.worker);
  decided->set_sequence(push.sequence);
  decided->set_base_step(push.base_step);
  decided->set_examples(push.examples);
  decided->set_loss(push.loss);
  decided->set_coefficient(
      static_cast<float>(Share(push.examples, of_all) * verdict.gradient_factor));
  decided->set_compensation(verdict.compensation);
}

}  // namespace

state::v1::StepDecision DecideStep(const Verdict& verdict, const PolicyState& state,
                                   const StepRates& rates) {
  state::v1::StepDecision decision;
  decision.set_step(state.open_step + 1);
  decision.set_learning_rate(rates.learning_rate * verdict.rate_factor);
  decision.set_learning_rate_without_warm_up(rates.without_warm_up * verdict.rate_factor);
  decision.set_momentum(rates.momentum);
  int64_t examples = state.window_pushes > 0 ? state.window_examples : 0;
  for (const size_t index : verdict.used) examples += state.waiting[index].examples;
  decision.set_examples(examples);
  double loss = 0;
  int64_t staleness = state.window_staleness;
  if (state.window_pushes > 0) {
    const double share = Share(state.window_examples, examples);
    decision.set_window_coefficient(static_cast<float>(share));
    loss += state.window_loss * share;
  }
  for (const size_t index : verdict.used) {
    const WaitingPush& push = state.waiting[index];
    Describe(push, examples, verdict, decision.add_used());
    loss += push.loss * Share(push.examples, examples);
    staleness = std::max(staleness, state.open_step - push.base_step);
  }
  decision.set_loss(loss);
  decision.set_staleness(staleness);
  for (const Verdict::Dropped& dropped : verdict.dropped) {
    const WaitingPush& push = state.waiting[dropped.index];
    state::v1::AnsweredPush& other = *decision.add_others();
    other.set_worker(push.worker);
    other.set_sequence(push.sequence);
    other.set_base_step(push.base_step);
    other.set_outcome(dropped.outcome);
  }
  return decision;
}

state::v1::FoldedPush DecideFold(const Verdict& verdict, const PolicyState& state) {
  const WaitingPush& push = state.waiting[verdict.used[0]];
  const int64_t before = state.window_pushes > 0 ? state.window_examples : 0;
  state::v1::FoldedPush folded;
  Describe(push, before + push.examples, verdict, folded.mutable_push());
  folded.set_keep(static_cast<float>(Share(before, before + push.examples)));
  return folded;
}

std::vector<float> CoefficientsOf(const state::v1::StepDecision& decision) {
  std::vector<float> coefficients;
  for (const state::v1::DecidedPush& push : decision.used()) {
    coefficients.push_back(push.coefficient());
  }
  return coefficients;
}

}  // namespace gradd

#include "tests/support/replayed_engine.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/run/limits.h"
#include "core/step/claimed_plan.h"
#include "core/store/initializer.h"
#include "tests/support/trainee.h"

namespace gradd {

ReplayedEngine::ReplayedEngine(int64_t block_elements, std::unique_ptr<Executor> executor)
    : block_elements_(block_elements),
      executor_(std::move(executor)),
      budget_(MemoryBudget::Create(BudgetLimits(Limits()))) {}

std::shared_ptr<UpdatePlan> ReplayedEngine::PlanOf(const v1::Run& spec) {
  auto plan = UpdatePlan::Create(*layout_, spec.optimizer(), spec.groups(), block_elements_,
                                 executor_->threads() + 1);
  auto claimed = ClaimPlan("replayed", *std::move(plan), budget_.get());
  return *std::move(claimed);
}

void ReplayedEngine::Create(const v1::Run& spec) {
  layout_.emplace(*Layout::Create(spec.layout(), Limits().max_parameters_per_run));
  std::shared_ptr<UpdatePlan> plan = PlanOf(spec);
  StepEngine::Parts parts;
  parts.run_id = "replayed";
  parts.layout = &*layout_;
  parts.clock = Clock::Real();
  parts.executor = executor_;
  parts.budget = budget_.get();
  parts.readers = VersionReaders::Create();
  parts.memory =
      *ClaimRunMemory(parts.run_id, *MakeStepPolicy(spec.policy()), *layout_, *plan, budget_.get());
  ParameterStore store(*layout_, spec.seed(), plan->slots(nullptr), executor_.get(),
                       block_elements_, parts.memory.store);
  engine_.emplace(std::move(parts), std::move(store), std::move(plan),
                  LargestInitialValue(layout_->message()));
  if (WindowOf(spec.optimizer()) > 1 && !engine_->BeginWithWindow().ok()) Fail("no window");
}

void ReplayedEngine::Append(const state::v1::Event& event, Pushes pushes) {
  state::v1::Event read;
  if (!read.ParseFromString(event.SerializeAsString())) return Fail("an event cannot be read");
  switch (read.kind_case()) {
    case state::v1::Event::kCreated:
      return Create(read.created().spec());
    case state::v1::Event::kStep:
      return MakeStep(read.step(), pushes);
    case state::v1::Event::kFold:
      if (!engine_->BeginFold(*pushes[0])) return Fail("a fold is refused");
      engine_->Fold(read.fold(), *pushes[0]);
      engine_->EndFold();
      return;
    case state::v1::Event::kChange:
      return Change(read.change().spec());
    default:
      return;  // Nothing of it is in the vectors.
  }
}

void ReplayedEngine::MakeStep(const state::v1::StepDecision& decision, Pushes pushes) {
  StepWork work;
  work.decision = decision;
  work.pushes.assign(pushes.begin(), pushes.end());
  work.wanted = wanted_;
  if (!engine_->Prepare(/*early=*/{}, /*room_is_made=*/true, &work)) {
    return Fail(absl::StrCat("step ", decision.step(), " is refused"));
  }
  work.undo.reset();  // What is decided stays, whatever comes of it.
  engine_->Apply(&work);
  engine_->Complete(&work);
  measured_ = std::move(work.measured);
  statistics_ = std::move(work.statistics);
  if (engine_->step() != decision.step()) {
    Fail(absl::StrCat("step ", decision.step(), " is replayed as ", engine_->step()));
  }
}

void ReplayedEngine::Change(const v1::Run& spec) {
  const absl::Status reserved =
      engine_->Reserve(PlanOf(spec), WindowOf(spec.optimizer()) > 1, /*kept_steps=*/0);
  if (!reserved.ok() || !engine_->Change()) return Fail("a change is refused");
  if (!engine_->changes()) return;
  engine_->Fill();
  engine_->Adopt();
}

std::string ReplayedEngine::Bits() {
  return BitsOf(*TakeSnapshot(),
                {statistics_.gradient_norm, statistics_.update_norm, statistics_.parameter_norm});
}

}  // namespace gradd

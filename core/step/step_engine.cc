#include "core/step/step_engine.h"

#include <algorithm>
#include <cmath>
#include <new>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/error.h"
#include "core/step/step_gradient.h"

namespace gradd {

StepEngine::StepEngine(Parts parts, ParameterStore store, std::shared_ptr<UpdatePlan> plan,
                       std::optional<float> largest_parameter, int64_t kept_steps)
    : run_id_(std::move(parts.run_id)),
      layout_(*parts.layout),
      clock_(parts.clock),
      executor_(std::move(parts.executor)),
      budget_(parts.budget),
      readers_(std::move(parts.readers)),
      memory_(std::move(parts.memory)),
      store_(std::move(store)),
      plan_(std::move(plan)),
      guard_(largest_parameter.has_value() ? *largest_parameter
                                           : store_.LargestParameter(executor_.get())) {
  bases_.Keep(kept_steps);
}

absl::Status StepEngine::GoOnFrom(const Snapshot& snapshot, const UpdatePlan& plan) {
  Snapshot first = snapshot;
  first.step = 0;
  GRADD_RETURN_IF_ERROR(store_.Restore(first));
  const auto claim = budget_->Take(MemoryUse::kScratch, plan.copied_bytes());
  if (claim == nullptr) return ScratchTooLarge(run_id_, plan.copied_bytes(), *budget_);
  GRADD_RETURN_IF_ERROR(plan_->Restore(plan.state()));
  plan_->CountFromZero();
  guard_.Measure(store_, executor_.get());
  return absl::OkStatus();
}

bool StepEngine::Prepare(const std::vector<v1::Encoding>& early, bool room_is_made,
                         StepWork* work) {
  GRADD_DCHECK(settled(), "a step begins while another one, or a change, is on its way");
  work->plan = plan_;
  work->guard = guard_;
  for (const auto& push : work->pushes) work->largest = std::max(work->largest, push->largest());
  const float in_window = window_ == nullptr ? 0 : window_->facts().largest;
  const bool has_window = keeps_window_ || (window_ != nullptr && window_->facts().pushes > 0);
  work->window = has_window ? window_.get() : nullptr;
  const state::v1::StepDecision& decision = work->decision;
  const double rate = std::max(decision.learning_rate(), decision.learning_rate_without_warm_up()) *
                      plan_->largest_rate_factor();
  work->watched = !guard_.KnowsFinite(std::max(work->largest, in_window), rate);
  // Held from now on, so that the step writes elsewhere.
  if (bases_.kept_steps() > 0) bases_.Add(TakeSnapshot(SnapshotContents::kTraining));
  if (!ReserveMemory(early, room_is_made, work)) return false;
  on_its_way_ = OnItsWay::kStep;
  return true;
}

bool StepEngine::ReserveMemory(const std::vector<v1::Encoding>& early, bool room_is_made,
                               StepWork* work) {
  const auto reserve = [&] {
    // With a window, rows that are missing are zeros; and it may be all that the step is made of.
    std::vector<bool> touched;
    if (work->window == nullptr) {
      touched = TouchedBlocks(work->pushes, *work->plan, store_, layout_.element_count());
    }
    return ReserveForStep(touched, store_, memory_.store.get(), *readers_, room_is_made,
                          &work->next);
  };
  try {
    if (work->watched) {
      try {
        work->undo.emplace(store_, *work->plan, budget_);
        if (reserve()) return true;
      } catch (const std::bad_alloc&) {
        // As where there is no room.
      }
      work->undo.reset();
      if (!room_is_made) return false;
      // Without one to blame, the step is taken in place: to wait for memory could be for ever.
      return work->largest <= kSafeGradient && reserve();
    }
    for (const v1::Encoding encoding : early) {
      std::shared_ptr<Snapshot>& next = work->next[encoding];
      if (next == nullptr) next = store_.NextSnapshot(encoding);
    }
    return reserve();
  } catch (const std::bad_alloc&) {
    work->undo.reset();
    return false;
  }
}

void StepEngine::Apply(StepWork* work) {
  const absl::Duration begin = clock_->Elapsed();
  const state::v1::StepDecision& decision = work->decision;
  UpdatePlan& plan = *work->plan;
  if (work->undo.has_value() && !work->undo->SavePlan(plan)) {
    work->undo.reset();
    // As in ReserveMemory(): only a push that could be to blame is worth its rejection.
    work->undone = work->largest > kSafeGradient;
    if (work->undone) return;
  }
  const StepGradient gradient(decision, work->pushes, work->window,
                              [&plan](int64_t element) { return plan.IsLazy(element); });
  const bool by_spans = gradient.has_lazy_rows();
  plan.BeginStep({decision.step() - 1, decision.learning_rate(), decision.loss(),
                  decision.momentum(), decision.learning_rate_without_warm_up()},
                 by_spans);
  for (int pass = 0; pass < plan.transform_passes(); ++pass) {
    executor_->ParallelFor(plan.transformed_tensors(), [&](int64_t tensor) {
      StepGradient::Reader reader(gradient, plan.transformed_begin(tensor));
      ParameterStore::Reader parameters(store_, plan.transformed_begin(tensor));
      plan.TransformTensor(tensor, &reader, &parameters);
    });
    plan.EndTransforms();
  }
  for (int pass = 0; pass < plan.sum_passes(); ++pass) {
    SumBlocks(gradient, by_spans, &plan);
    plan.EndSums();
  }
  if (by_spans && plan.NeedsMeasure()) {
    executor_->ParallelFor(store_.block_count(),
                           [&](int64_t block) { plan.MeasureBlock(store_.ReadBlock(block)); });
  }
  std::unique_ptr<PushMeter> meter;
  if (work->wanted.any() && !work->pushes.empty()) {
    meter = PushMeter::Create(work->pushes, CoefficientsOf(decision), work->wanted,
                              plan.partition(), executor_->threads() + 1, budget_);
  }
  executor_->ParallelFor(store_.block_count(), [&](int64_t block) {
    UpdateBlock(gradient, by_spans, block, meter.get(), work);
  });
  store_.CommitStep();

  const TileNorms sum = plan.EndStep();
  work->statistics.gradient_norm = std::sqrt(sum.gradient);
  work->statistics.update_norm = std::sqrt(sum.update);
  work->statistics.parameter_norm = std::sqrt(sum.parameters);
  if (meter != nullptr) {
    work->measured = meter->Measured();
    work->statistics.pushes = MeasuredPushes(decision, *work->measured);
  }
  work->finite = std::isfinite(sum.update) && std::isfinite(sum.parameters);
  if (work->watched) {
    Check(work);
  } else {
    work->guard.StepTaken(work->statistics.parameter_norm);
  }
  work->statistics.apply_time = clock_->Elapsed() - begin;
}

void StepEngine::SumBlocks(const StepGradient& gradient, bool by_spans, UpdatePlan* plan) {
  executor_->ParallelFor(store_.block_count(), [&](int64_t block) {
    const ParameterStore::BlockUpdate read = store_.ReadBlock(block);
    if (by_spans) {
      StepGradient::SpanReader reader(gradient, read.begin);
      plan->SumSpans(read, &reader);
    } else {
      StepGradient::Reader reader(gradient, read.begin);
      plan->SumBlock(read, &reader);
    }
  });
}

void StepEngine::UpdateBlock(const StepGradient& gradient, bool by_spans, int64_t block,
                             PushMeter* meter, StepWork* work) {
  UpdatePlan& plan = *work->plan;
  if (!by_spans) {
    std::optional<EncodedBlocks> encoded;
    store_.UpdateBlock(block, [&](const ParameterStore::BlockUpdate& update) {
      StepGradient::Reader reader(gradient, update.begin, meter);
      encoded = store_.BeginPublishing(update, work->next);
      plan.UpdateBlock(update, &reader, &*encoded);
    });
    store_.Publish(block, work->next, &*encoded);
    return;
  }
  const int64_t begin = store_.block_begin(block);
  const int64_t end = std::min(begin + store_.block_elements(), layout_.element_count());
  StepGradient::SpanReader reader(gradient, begin, meter);
  if (reader.Seek(end) < end) {
    store_.UpdateBlockInPlace(block, [&](const ParameterStore::BlockUpdate& update) {
      plan.UpdateSpans(update, &reader);
    });
  }
  for (const auto& [encoding, next] : work->next) store_.Publish(block, next.get());
}

std::optional<Measurements> StepEngine::Measure(
    const std::vector<std::shared_ptr<const StagedPush>>& pushes,
    const std::vector<float>& coefficients, WantedMeasurements wanted) const {
  if (!wanted.any()) return std::nullopt;
  const std::shared_ptr<const UpdatePlan> plan = plan_;
  const Partition& partition = plan->partition();
  const auto meter =
      PushMeter::Create(pushes, coefficients, wanted, partition, executor_->threads() + 1, budget_);
  if (meter == nullptr) return std::nullopt;
  const Aggregate aggregate(pushes, coefficients);
  executor_->ParallelFor(static_cast<int64_t>(partition.blocks()), [&](int64_t block) {
    const int64_t begin = block * partition.block_elements();
    const int64_t end = std::min(begin + partition.block_elements(), partition.elements());
    PushMeter::Pass pass(meter.get(), begin);
    Aggregate::Reader sum(aggregate, begin);
    for (int64_t at = begin; at < end; at += kTileElements) {
      const int64_t size = std::min(kTileElements, end - at);
      pass.Add(at, size, wanted.with_mean ? sum.Next(size) : nullptr);
    }
  });
  return meter->Measured();
}

void StepEngine::Check(StepWork* work) {
  work->finite =
      work->finite && StepUndo::Accept(store_, *work->plan, executor_.get(), &work->guard);
  if (!work->undo.has_value()) return;
  work->undone = !work->finite && work->undo->Undo(&store_, work->plan.get()).ok();
  work->undo.reset();  // From now on steps write in place again.
}

void StepEngine::Complete(StepWork* work) {
  on_its_way_ = OnItsWay::kNothing;
  memory_.store->EndReservations(ReservedFor::kStep);
  if (!work->undone) {
    ++step_;
    guard_ = work->guard;
    if (window_ != nullptr) window_->Clear();
    if (!keeps_window_ && !(has_next_plan() && next_keeps_window_)) window_.reset();
  }
  GRADD_DCHECK(store_.step() == step_,
               absl::StrCat("the store is at step ", store_.step(), ", the engine at ", step_));
}

absl::StatusOr<std::unique_ptr<Window>> StepEngine::NewWindow() const {
  try {
    auto window = Window::Create(layout_.element_count(), store_.block_elements(), budget_);
    if (window != nullptr) return window;
  } catch (const std::bad_alloc&) {
    return StateOutOfMemory(run_id_);
  }
  return StateTooLarge(run_id_, Window::BytesFor(layout_.element_count()), *budget_);
}

absl::Status StepEngine::BeginWithWindow() {
  auto window = NewWindow();
  GRADD_RETURN_IF_ERROR(window.status());
  window_ = *std::move(window);
  keeps_window_ = true;
  return absl::OkStatus();
}

bool StepEngine::BeginFold(const StagedPush& push) {
  GRADD_DCHECK(settled() && window_ != nullptr, "a fold begins where there is no window");
  if (push.largest() > kLargestInWindow) return false;
  on_its_way_ = OnItsWay::kFold;
  return true;
}

void StepEngine::Fold(const state::v1::FoldedPush& how, const StagedPush& push) {
  window_->Fold(how, push, step_, executor_.get());
}

void StepEngine::EndFold() { on_its_way_ = OnItsWay::kNothing; }

std::shared_ptr<const Snapshot> StepEngine::TakeSnapshot(SnapshotContents contents) {
  if (contents != SnapshotContents::kTraining) return store_.TakeSnapshot(contents);
  std::shared_ptr<const Snapshot> snapshot = training_snapshot_.lock();
  if (snapshot == nullptr || snapshot->step != step_) {
    snapshot = store_.TakeSnapshot(contents);
    training_snapshot_ = snapshot;
  }
  return snapshot;
}

StepEngine::Remains StepEngine::TakeAll() {
  GRADD_DCHECK(settled(), "an engine ends while something is on its way");
  Remains remains;
  remains.store = store_.TakeAll();
  remains.plan = std::exchange(plan_, nullptr);
  remains.next_plan = std::exchange(next_plan_, nullptr);
  remains.window = std::exchange(window_, nullptr);
  remains.next_window = std::exchange(next_window_, nullptr);
  remains.bases = std::exchange(bases_, {});
  return remains;
}

}  // namespace gradd

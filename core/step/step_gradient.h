#ifndef GRADD_CORE_STEP_STEP_GRADIENT_H_
#define GRADD_CORE_STEP_STEP_GRADIENT_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/optim/optimizer.h"
#include "core/step/push_meter.h"
#include "core/step/step_decision.h"
#include "core/step/window.h"
#include "core/store/gradient_reader.h"
#include "core/sync/aggregate.h"
#include "gradd/state/v1/event.pb.h"

namespace gradd {

// The gradient of one step: what lies in the window, if that is part of it, plus the sum of the
// pushes, each times its coefficient. Thread safe; holds the pushes.
class StepGradient {
 public:
  // The pushes are those that the decision names as used. `window` may be null where it is no part
  // of the step, and outlives this otherwise. With one, missing rows are zeros; else `lazy` says
  // for which tensors they stay missing.
  StepGradient(const state::v1::StepDecision& decision,
               std::vector<std::shared_ptr<const StagedPush>> pushes, const Window* window,
               StagedPush::Lazy lazy)
      : window_(decision.window_coefficient() != 0 ? window : nullptr),
        window_coefficient_(decision.window_coefficient()) {
    if (window != nullptr) lazy = [](int64_t) { return false; };
    if (!pushes.empty()) {
      pushes_.emplace(std::move(pushes), CoefficientsOf(decision), std::move(lazy));
    }
  }

  // Whether rows may be missing. Then SpanReader has all of it.
  bool has_lazy_rows() const { return pushes_.has_value() && pushes_->has_lazy_rows(); }

  // Reads it from some element on, in order. If there is a `meter`, which then is one of these
  // pushes, it measures what is read, and `begin` is that of a block.
  class Reader final : public GradientReader {
   public:
    Reader(const StepGradient& gradient, int64_t begin, PushMeter* meter = nullptr)
        : coefficient_(gradient.window_coefficient_), at_(begin) {
      if (gradient.pushes_.has_value()) pushes_.emplace(*gradient.pushes_, begin);
      if (gradient.window_ != nullptr) window_.emplace(*gradient.window_, begin);
      if (meter != nullptr) meter_.emplace(meter, begin);
    }

    const UnalignedFloat* Next(int64_t size) override {
      if (!window_.has_value()) return NextOfPushes(size);
      const UnalignedFloat* const mean = window_->Next(size);
      if (!pushes_.has_value() && coefficient_ == 1) return mean;
      for (int64_t i = 0; i < size; ++i) sum_[i] = coefficient_ * mean[i];
      if (pushes_.has_value()) {
        const UnalignedFloat* const more = NextOfPushes(size);
        for (int64_t i = 0; i < size; ++i) sum_[i] += more[i];
      }
      return sum_.data();
    }

   private:
    const UnalignedFloat* NextOfPushes(int64_t size) {
      const UnalignedFloat* const sum = pushes_->Next(size);
      if (meter_.has_value()) meter_->Add(at_, size, sum);
      at_ += size;
      return sum;
    }

    const float coefficient_;
    int64_t at_;
    std::optional<Aggregate::Reader> pushes_;
    std::optional<Window::Reader> window_;
    std::optional<PushMeter::Pass> meter_;
    alignas(64) std::array<float, kTileElements> sum_;
  };

  // The same for what is not missing of it; only if has_lazy_rows(), so without a window.
  class SpanReader final : public gradd::SpanReader {
   public:
    SpanReader(const StepGradient& gradient, int64_t begin, PushMeter* meter = nullptr)
        : at_(begin), pushes_(*gradient.pushes_, begin) {
      if (meter != nullptr) meter_.emplace(meter, begin);
    }

    int64_t Seek(int64_t end) override { return at_ = pushes_.Seek(end); }
    Span Next(int64_t end) override {
      const Span span = pushes_.Next(end);
      if (meter_.has_value()) meter_->Add(at_, span.size, span.values);
      at_ += span.size;
      return span;
    }

   private:
    int64_t at_;
    Aggregate::SpanReader pushes_;
    std::optional<PushMeter::Pass> meter_;
  };

 private:
  std::optional<Aggregate> pushes_;
  const Window* const window_;
  const float window_coefficient_;
};

}  // namespace gradd

#endif  // GRADD_CORE_STEP_STEP_GRADIENT_H_

#ifndef GRADD_CORE_OPTIM_WRAPPED_OPTIMIZER_H_
#define GRADD_CORE_OPTIM_WRAPPED_OPTIMIZER_H_

#include <memory>
#include <utility>
#include <vector>

#include "core/optim/optimizer.h"

namespace gradd {

// An optimizer around another one, with a slot of its own after the other's.
class WrappedOptimizer : public Optimizer {
 public:
  WrappedOptimizer(std::unique_ptr<Optimizer> inner, SlotSpec slot)
      : inner_(std::move(inner)), slots_(inner_->slots()) {
    slots_.push_back(std::move(slot));
  }

  const std::vector<SlotSpec>& slots() const final { return slots_; }
  int training_slot() const final { return inner_->training_slot(); }
  std::vector<const TensorTransform*> transforms() const final { return inner_->transforms(); }
  const std::vector<ScalarSpec>& scalars() const final { return inner_->scalars(); }
  bool scalars_per_tensor() const final { return inner_->scalars_per_tensor(); }
  bool follows_momentum() const final { return inner_->follows_momentum(); }
  int sums() const final { return inner_->sums(); }
  bool sums_per_tensor() const final { return inner_->sums_per_tensor(); }

  void BeginStep(const StepInput& input, absl::Span<double> scalars) override {
    inner_->BeginStep(input, scalars);
  }
  void SumTile(const Tile& tile, double* sums) const override { inner_->SumTile(tile, sums); }
  void EndSums(absl::Span<const double> sums, absl::Span<double> scalars) override {
    inner_->EndSums(sums, scalars);
  }

 protected:
  Optimizer& inner() { return *inner_; }
  const Optimizer& inner() const { return *inner_; }
  size_t own_slot() const { return slots_.size() - 1; }

 private:
  const std::unique_ptr<Optimizer> inner_;
  std::vector<SlotSpec> slots_;
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_WRAPPED_OPTIMIZER_H_

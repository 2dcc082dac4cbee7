#ifndef GRADD_CORE_OPTIM_TRANSFORMED_OPTIMIZER_H_
#define GRADD_CORE_OPTIM_TRANSFORMED_OPTIMIZER_H_

#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "core/optim/elementwise_optimizer.h"
#include "core/optim/tensor_transform.h"

namespace gradd {

// What is left to do for an element when a transform has made its whole step: p = p - g.
struct SubtractRule : ElementRule {
  static constexpr int kSlots = 0;
  std::vector<SlotSpec> Slots() const { return {}; }

  struct Scalars {};
  Scalars Prepare(const StepInput& /*input*/) const { return {}; }
  static float Apply(const Scalars& /*s*/, float p, float g, std::array<float, kSlots>& /*slots*/) {
    return p - g;
  }
};

// L2 penalty in front of a transform: g + decay * p.
class CoupledDecayTransform final : public TensorTransform {
 public:
  explicit CoupledDecayTransform(double decay) : decay_(static_cast<float>(decay)) {}
  std::vector<TensorStateSpec> State(const TensorShape& /*shape*/) const override { return {}; }
  bool needs_parameters() const override { return true; }
  void Transform(const StepInput& /*input*/, const TensorShape& shape,
                 const Vectors& vectors) const override {
    for (int64_t i = 0; i < shape.elements(); ++i) {
      vectors.result[i] = vectors.gradient[i] + decay_ * vectors.parameters[i];
    }
  }

 private:
  const float decay_;
};

// An optimizer that is a transform, which makes of the gradient what is subtracted.
class TransformedOptimizer final : public Optimizer {
 public:
  TransformedOptimizer(std::unique_ptr<TensorTransform> transform, const WeightDecay& decay)
      : subtract_(SubtractRule(), {0, decay.decoupled}) {
    if (decay.coupled != 0) {
      transforms_.push_back(std::make_unique<CoupledDecayTransform>(decay.coupled));
    }
    transforms_.push_back(std::move(transform));
  }

  std::vector<const TensorTransform*> transforms() const override {
    std::vector<const TensorTransform*> transforms;
    for (const auto& transform : transforms_) transforms.push_back(transform.get());
    return transforms;
  }
  const std::vector<SlotSpec>& slots() const override { return subtract_.slots(); }
  void BeginStep(const StepInput& input, absl::Span<double> scalars) override {
    subtract_.BeginStep(input, scalars);
  }
  void UpdateTile(const Tile& tile, TileNorms* norms) const override {
    subtract_.UpdateTile(tile, norms);
  }

 private:
  ElementwiseOptimizer<SubtractRule> subtract_;
  std::vector<std::unique_ptr<TensorTransform>> transforms_;
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_TRANSFORMED_OPTIMIZER_H_

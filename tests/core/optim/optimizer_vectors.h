#ifndef GRADD_TESTS_CORE_OPTIM_OPTIMIZER_VECTORS_H_
#define GRADD_TESTS_CORE_OPTIM_OPTIMIZER_VECTORS_H_

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "core/optim/optimizer.h"
#include "core/optim/optimizer_factory.h"
#include "tests/core/optim/optimizer_table.h"
#include "tests/core/optim/work_in_place.h"

namespace gradd {

using Values = std::vector<float>;

inline v1::Optimizer SpecOf(const std::string& text) {
  v1::Optimizer spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &spec)) << text;
  return spec;
}

inline std::unique_ptr<Optimizer> Make(const std::string& text) {
  auto optimizer = MakeOptimizer(SpecOf(text));
  EXPECT_TRUE(optimizer.ok()) << optimizer.status();
  return *std::move(optimizer);
}

// Parameters and slots of one vector, updated as the store does it, tile by tile.
class Vectors {
 public:
  // `first` is where its first element is in the flat vector.
  Vectors(Optimizer* optimizer, Values parameters, int64_t first = 0)
      : optimizer_(optimizer), first_(first), parameters_(std::move(parameters)) {
    for (const SlotSpec& slot : optimizer->slots()) {
      slots_.emplace_back(parameters_.size(), slot.initial_value);
      if (slot.starts_at_parameters) slots_.back() = parameters_;
    }
    for (const ScalarSpec& scalar : optimizer->scalars()) kept_.push_back(scalar.initial_value);
    if (!optimizer->transforms().empty()) {
      work_ = std::make_unique<WorkInPlace>(TestShape(parameters_.size()), optimizer->transforms());
    }
  }

  // Calls visit(tile) for [begin, begin + size) in place.
  template <typename Visit>
  void WithTile(const Values& gradient, int64_t begin, int64_t size, const Visit& visit) {
    std::vector<const float*> in;
    std::vector<float*> out;
    for (Values& slot : slots_) {
      in.push_back(slot.data() + begin);
      out.push_back(slot.data() + begin);
    }
    Tile tile;
    tile.begin = first_ + begin;
    tile.size = size;
    tile.gradient = (transformed_ ? work_->result() : gradient.data()) + begin;
    tile.parameters_in = parameters_.data() + begin;
    tile.parameters_out = parameters_.data() + begin;
    tile.slots_in = in.data();
    tile.slots_out = out.data();
    visit(tile);
  }
  // Begins a step on `gradient`: all of it is one tensor.
  void Begin(const StepInput& input, const Values& gradient) {
    optimizer_->BeginStep(input, absl::MakeSpan(kept_));
    if (work_ != nullptr) {
      work_->Transform(input, gradient, parameters_);
      transformed_ = true;
    }
    if (optimizer_->sums() == 0) return;
    std::vector<double> sums(static_cast<size_t>(optimizer_->sums()));
    const auto count = static_cast<int64_t>(parameters_.size());
    for (int64_t at = 0; at < count; at += kTileElements) {
      WithTile(gradient, at, std::min(kTileElements, count - at),
               [&](const Tile& tile) { optimizer_->SumTile(tile, sums.data()); });
    }
    optimizer_->EndSums(sums, absl::MakeSpan(kept_));
  }
  // What UpdateRange() makes of `gradient`.
  Values Applied(const Values& gradient) const {
    return transformed_ ? Values(work_->result(), work_->result() + gradient.size()) : gradient;
  }
  TileNorms UpdateRange(const Values& gradient, int64_t begin, int64_t size) {
    TileNorms norms;
    WithTile(gradient, begin, size,
             [&](const Tile& tile) { optimizer_->UpdateTile(tile, &norms); });
    return norms;
  }
  void Step(int64_t step, double learning_rate, const Values& gradient, double loss = 0) {
    Begin({step, learning_rate, loss}, gradient);
    const auto count = static_cast<int64_t>(parameters_.size());
    for (int64_t at = 0; at < count; at += kTileElements) {
      UpdateRange(gradient, at, std::min(kTileElements, count - at));
    }
  }

  Values& parameters() { return parameters_; }
  Values& training() {
    return optimizer_->training_slot() < 0
               ? parameters_
               : slots_[static_cast<size_t>(optimizer_->training_slot())];
  }
  std::vector<Values>& slots() { return slots_; }

 private:
  Optimizer* const optimizer_;
  const int64_t first_;
  Values parameters_;
  std::vector<Values> slots_;
  std::vector<double> kept_;
  std::unique_ptr<WorkInPlace> work_;
  bool transformed_ = false;
};

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_OPTIM_OPTIMIZER_VECTORS_H_

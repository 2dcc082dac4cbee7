#ifndef GRADD_TESTS_TEXTBOOK_DESCENT_H_
#define GRADD_TESTS_TEXTBOOK_DESCENT_H_

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/optim/optimizer_factory.h"

namespace gradd {

// One vector of parameters and an optimizer of gradd's that updates it.
class Descent {
 public:
  // `optimizer` is a v1::Optimizer in text format; one without sums over all elements.
  Descent(const std::string& optimizer, std::vector<float> start) : parameters_(std::move(start)) {
    v1::Optimizer spec;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(optimizer, &spec)) << optimizer;
    optimizer_ = *MakeOptimizer(spec);
    for (const SlotSpec& slot : optimizer_->slots()) {
      slots_.emplace_back(parameters_.size(), slot.initial_value);
      if (slot.starts_at_parameters) slots_.back() = parameters_;
    }
    for (const ScalarSpec& scalar : optimizer_->scalars()) kept_.push_back(scalar.initial_value);
  }

  void Step(const std::vector<float>& gradient, double learning_rate) {
    optimizer_->BeginStep({step_++, learning_rate, 0}, absl::MakeSpan(kept_));
    const auto size = static_cast<int64_t>(parameters_.size());
    for (int64_t begin = 0; begin < size; begin += kTileElements) {
      std::vector<const float*> in;
      std::vector<float*> out;
      for (std::vector<float>& slot : slots_) {
        in.push_back(slot.data() + begin);
        out.push_back(slot.data() + begin);
      }
      Tile tile;
      tile.begin = begin;
      tile.size = std::min(kTileElements, size - begin);
      tile.gradient = gradient.data() + begin;
      tile.parameters_in = parameters_.data() + begin;
      tile.parameters_out = parameters_.data() + begin;
      tile.slots_in = in.data();
      tile.slots_out = out.data();
      optimizer_->UpdateTile(tile, nullptr);
    }
  }

  const std::vector<float>& parameters() const { return parameters_; }
  // Where the next gradient is to be taken.
  const std::vector<float>& training_point() const {
    const int slot = optimizer_->training_slot();
    return slot < 0 ? parameters_ : slots_[static_cast<size_t>(slot)];
  }

 private:
  std::unique_ptr<Optimizer> optimizer_;
  std::vector<float> parameters_;
  std::vector<std::vector<float>> slots_;
  std::vector<double> kept_;
  int64_t step_ = 0;
};

}  // namespace gradd

#endif  // GRADD_TESTS_TEXTBOOK_DESCENT_H_

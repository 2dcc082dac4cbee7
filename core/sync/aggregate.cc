#include "core/sync/aggregate.h"

#include <utility>

#include "core/store/slot.h"

namespace gradd {

Aggregate::Aggregate(std::vector<std::shared_ptr<const StagedPush>> pushes)
    : pushes_(std::move(pushes)) {
  for (const auto& push : pushes_) examples_ += push->header().examples();
  for (const auto& push : pushes_) {
    weights_.push_back(static_cast<float>(static_cast<double>(push->header().examples()) /
                                          static_cast<double>(examples_)));
  }
}

double Aggregate::loss() const {
  double sum = 0;
  for (const auto& push : pushes_) {
    sum += push->header().loss() *
           (static_cast<double>(push->header().examples()) / static_cast<double>(examples_));
  }
  return sum;
}

Aggregate::Reader::Reader(const Aggregate& aggregate, int64_t begin)
    : aggregate_(aggregate), sum_(kTileElements), scratch_(kTileElements) {
  readers_.reserve(aggregate.pushes_.size());
  for (const auto& push : aggregate.pushes_) readers_.emplace_back(*push, begin);
}

const UnalignedFloat* Aggregate::Reader::Next(int64_t size) {
  if (readers_.size() == 1) return readers_[0].Next(size, scratch_.data());
  float* const sum = sum_.data();
  for (size_t i = 0; i < readers_.size(); ++i) {
    const UnalignedFloat* const values = readers_[i].Next(size, scratch_.data());
    const float weight = aggregate_.weights_[i];
    if (i == 0) {
      for (int64_t k = 0; k < size; ++k) sum[k] = weight * values[k];
    } else {
      for (int64_t k = 0; k < size; ++k) sum[k] += weight * values[k];
    }
  }
  return sum;
}

}  // namespace gradd

#include "core/sync/aggregate.h"

#include <algorithm>
#include <utility>

namespace gradd {

Aggregate::Aggregate(std::vector<std::shared_ptr<const StagedPush>> pushes, StagedPush::Lazy lazy)
    : pushes_(std::move(pushes)), lazy_(std::move(lazy)) {
  for (const auto& push : pushes_) has_lazy_rows_ = has_lazy_rows_ || push->HasLazyRows(lazy_);
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

Aggregate::Reader::Reader(const Aggregate& aggregate, int64_t begin) : aggregate_(aggregate) {
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

Aggregate::SpanReader::SpanReader(const Aggregate& aggregate, int64_t begin)
    : aggregate_(aggregate), at_(begin) {
  readers_.reserve(aggregate.pushes_.size());
  for (const auto& push : aggregate.pushes_) readers_.emplace_back(*push, aggregate.lazy_, begin);
}

int64_t Aggregate::SpanReader::Seek(int64_t end) {
  int64_t first = end;
  for (StagedPush::SpanReader& reader : readers_) {
    if (reader.begin() < at_) reader.Seek(at_);
    first = std::min(first, reader.begin());
  }
  at_ = first;
  return first;
}

SpanReader::Span Aggregate::SpanReader::Next(int64_t end) {
  const int64_t begin = at_;
  at_ = std::min(end, begin + kTileElements);
  for (const StagedPush::SpanReader& reader : readers_) {
    at_ = std::min(at_, reader.begin() > begin ? reader.begin() : reader.end());
  }
  const int64_t size = at_ - begin;
  if (readers_.size() == 1) return {size, readers_[0].Read(begin, size, scratch_.data())};
  std::fill_n(sum_.begin(), size, 0.0F);
  float* const sum = sum_.data();
  for (size_t i = 0; i < readers_.size(); ++i) {
    if (readers_[i].begin() > begin) continue;
    const UnalignedFloat* const values = readers_[i].Read(begin, size, scratch_.data());
    const float weight = aggregate_.weights_[i];
    for (int64_t k = 0; k < size; ++k) sum[k] += weight * values[k];
  }
  return {size, sum_.data()};
}

}  // namespace gradd

#include "core/sync/aggregate.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"

namespace gradd {

Aggregate::Aggregate(std::vector<std::shared_ptr<const StagedPush>> pushes,
                     std::vector<float> coefficients, StagedPush::Lazy lazy)
    : pushes_(std::move(pushes)), coefficients_(std::move(coefficients)), lazy_(std::move(lazy)) {
  GRADD_DCHECK(!pushes_.empty(), "nothing to read");
  GRADD_DCHECK(coefficients_.size() == pushes_.size(),
               absl::StrCat(coefficients_.size(), " coefficients for ", pushes_.size(), " pushes"));
  for (const auto& push : pushes_) {
    GRADD_DCHECK(push->elements() == pushes_[0]->elements(),
                 absl::StrCat(push->elements(), " and ", pushes_[0]->elements(), " elements"));
    GRADD_DCHECK(push->CheckComplete().ok(), push->CheckComplete().message());
  }
  for (const auto& push : pushes_) has_lazy_rows_ = has_lazy_rows_ || push->HasLazyRows(lazy_);
}

Aggregate::Reader::Reader(const Aggregate& aggregate, int64_t begin) : aggregate_(aggregate) {
  readers_.reserve(aggregate.pushes_.size());
  for (const auto& push : aggregate.pushes_) readers_.emplace_back(*push, begin);
}

const UnalignedFloat* Aggregate::Reader::Next(int64_t size) {
  if (aggregate_.is_one_push()) return readers_[0].Next(size, scratch_.data());
  float* const sum = sum_.data();
  for (size_t i = 0; i < readers_.size(); ++i) {
    const UnalignedFloat* const values = readers_[i].Next(size, scratch_.data());
    const float coefficient = aggregate_.coefficients_[i];
    if (i == 0) {
      for (int64_t k = 0; k < size; ++k) sum[k] = coefficient * values[k];
    } else {
      for (int64_t k = 0; k < size; ++k) sum[k] += coefficient * values[k];
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

Aggregate::SpanReader::Cover Aggregate::SpanReader::CoverAt(int64_t at, int64_t end) {
  Cover cover{false, end};
  for (StagedPush::SpanReader& reader : readers_) {
    if (reader.end() <= at) reader.Seek(at);
    const bool here = reader.begin() <= at;
    cover.any = cover.any || here;
    cover.end = std::min(cover.end, here ? reader.end() : reader.begin());
  }
  return cover;
}

SpanReader::Span Aggregate::SpanReader::Next(int64_t end) {
  const int64_t begin = at_;
  end = std::min(end, begin + kTileElements);
  Cover cover = CoverAt(begin, end);
  if (aggregate_.is_one_push()) {
    const UnalignedFloat* const values =
        readers_[0].Read(begin, cover.end - begin, scratch_.data());
    at_ = cover.end;
    if (at_ == end) return {at_ - begin, values};
    cover = CoverAt(at_, end);
    if (!cover.any) return {at_ - begin, values};
    // Not std::copy_n: a template forgets that the values lie at any address.
    constexpr size_t kFloatBytes = sizeof(float);
    std::memcpy(sum_.data(), values, static_cast<size_t>(at_ - begin) * kFloatBytes);
    for (; cover.any && at_ < end; cover = CoverAt(at_, end)) {
      const UnalignedFloat* const more = readers_[0].Read(at_, cover.end - at_, scratch_.data());
      std::memcpy(sum_.data() + (at_ - begin), more,
                  static_cast<size_t>(cover.end - at_) * kFloatBytes);
      at_ = cover.end;
    }
    return {at_ - begin, sum_.data()};
  }
  for (; cover.any && at_ < end; cover = CoverAt(at_, end)) {
    const int64_t size = cover.end - at_;
    float* const sum = sum_.data() + (at_ - begin);
    std::fill_n(sum, size, 0.0F);
    for (size_t i = 0; i < readers_.size(); ++i) {
      if (readers_[i].begin() > at_) continue;
      const UnalignedFloat* const values = readers_[i].Read(at_, size, scratch_.data());
      const float coefficient = aggregate_.coefficients_[i];
      for (int64_t k = 0; k < size; ++k) sum[k] += coefficient * values[k];
    }
    at_ = cover.end;
  }
  return {at_ - begin, sum_.data()};
}

}  // namespace gradd

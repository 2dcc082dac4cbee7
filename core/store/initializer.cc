#include "core/store/initializer.h"

#include <algorithm>
#include <string>

#include "core/base/mix.h"
#include "core/base/normal_quantile.h"
#include "core/store/layout.h"
#include "core/store/orthogonal_matrix.h"
#include "core/store/random_value.h"

namespace gradd {
namespace {

using Kind = InitialDistribution::Kind;

uint64_t TensorKey(uint64_t seed, const std::string& name) {
  uint64_t key = Mix(seed, 0);
  for (const char c : name) key = Mix(key ^ static_cast<unsigned char>(c), 0);
  return key;
}

// How the elements [from, to) of a tensor are drawn.
class Draw {
 public:
  Draw(const InitialDistribution& distribution, uint64_t key, int64_t from, int64_t to)
      : distribution_(distribution), key_(key), from_(from), to_(to) {}

  void Into(float* values) const {
    switch (distribution_.kind) {
      case Kind::kConstant:
        std::fill_n(values, to_ - from_, distribution_.constant);
        return;
      case Kind::kUniform:
        return Uniform(values);
      case Kind::kNormal:
        return Normal(values);
      case Kind::kTruncatedNormal:
        return TruncatedNormal(values);
      case Kind::kOrthogonal:
        return;  // Not one by one.
    }
  }

 private:
  void Uniform(float* values) const {
    const float low = distribution_.low;
    const float high = distribution_.high;
    for (int64_t i = from_; i < to_; ++i) {
      const auto value =
          static_cast<float>(low + UnitValue(key_, i) * (static_cast<double>(high) - low));
      values[i - from_] = value < high ? value : low;  // Rounding may have reached `high`.
    }
  }

  void Normal(float* values) const {
    for (int64_t i = from_; i < to_; ++i) {
      values[i - from_] =
          static_cast<float>(distribution_.mean + distribution_.deviation * NormalValue(key_, i));
    }
  }

  // The quantile of a number that is uniform between what lies below the interval's ends.
  void TruncatedNormal(float* values) const {
    const auto standard = [&](float end) {
      return (end - distribution_.mean) / distribution_.deviation;
    };
    // Near 1 numbers are coarse: an interval that is above the mean is drawn as its mirror image.
    const bool mirrored = standard(distribution_.low) > 0;
    const double sign = mirrored ? -1 : 1;
    const double low =
        NormalProbability(sign * standard(mirrored ? distribution_.high : distribution_.low));
    const double high =
        NormalProbability(sign * standard(mirrored ? distribution_.low : distribution_.high));
    for (int64_t i = from_; i < to_; ++i) {
      constexpr double kBelowOne = 1 - 0x1p-53;
      const double below = std::min(low + OpenUnitValue(key_, i) * (high - low), kBelowOne);
      const auto value = static_cast<float>(distribution_.mean +
                                            sign * distribution_.deviation * NormalQuantile(below));
      values[i - from_] = std::clamp(value, distribution_.low, distribution_.high);
    }
  }

  const InitialDistribution& distribution_;
  const uint64_t key_;
  const int64_t from_;
  const int64_t to_;
};

}  // namespace

float LargestInitialValue(const v1::Layout& layout) {
  float largest = 0;
  for (const v1::Tensor& tensor : layout.tensors()) {
    largest = std::max(largest, LargestValueOf(DistributionOf(tensor)));
  }
  return largest;
}

int64_t InitialScratchSize(const v1::Layout& layout) {
  int64_t size = 0;
  for (const v1::Tensor& tensor : layout.tensors()) {
    if (!tensor.initializer().has_orthogonal()) continue;
    const InitialDistribution distribution = DistributionOf(tensor);
    size = std::max(size, OrthogonalMatrix::ScratchSize(distribution.rows, distribution.columns));
  }
  return size;
}

LayoutInitializer::LayoutInitializer(const v1::Layout& layout, uint64_t seed)
    : scratch_size_(InitialScratchSize(layout)) {
  int64_t begin = 0;
  for (const v1::Tensor& tensor : layout.tensors()) {
    const int64_t end = begin + ElementCount(tensor);
    spans_.push_back({begin, end, DistributionOf(tensor), TensorKey(seed, tensor.name())});
    begin = end;
  }
}

absl::Status LayoutInitializer::Fill(int64_t begin, int64_t size, float* values) const {
  const int64_t end = begin + size;
  auto span = std::upper_bound(spans_.begin(), spans_.end(), begin,
                               [](int64_t at, const Span& s) { return at < s.end; });
  for (; span != spans_.end() && span->begin < end; ++span) {
    const int64_t from = std::max(begin, span->begin);
    const int64_t to = std::min(end, span->end);
    Draw(span->distribution, span->key, from - span->begin, to - span->begin)
        .Into(values + (from - begin));
  }
  return absl::OkStatus();
}

void LayoutInitializer::FillWhole(int64_t block_elements,
                                  const std::function<float*(int64_t)>& block, double* scratch,
                                  Executor* pool) const {
  for (const Span& span : spans_) {
    const InitialDistribution& distribution = span.distribution;
    if (distribution.kind != Kind::kOrthogonal) continue;
    const OrthogonalMatrix matrix(distribution.rows, distribution.columns, span.key, scratch, pool);
    const int64_t first = span.begin / block_elements;
    pool->ParallelFor((span.end - 1) / block_elements + 1 - first, [&](int64_t i) {
      const int64_t block_begin = (first + i) * block_elements;
      const int64_t from = std::max(span.begin, block_begin);
      const int64_t to = std::min(span.end, block_begin + block_elements);
      matrix.Write(from - span.begin, to - from, distribution.gain,
                   block(first + i) + (from - block_begin));
    });
  }
}

}  // namespace gradd

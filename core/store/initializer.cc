#include "core/store/initializer.h"

#include <algorithm>
#include <cmath>

#include "core/base/mix.h"
#include "core/store/layout.h"

namespace gradd {
namespace {

uint64_t TensorKey(uint64_t seed, const std::string& name) {
  uint64_t key = Mix(seed, 0);
  for (const char c : name) key = Mix(key ^ static_cast<unsigned char>(c), 0);
  return key;
}

float Uniform(uint64_t key, int64_t index, float low, float high) {
  const uint64_t bits = Mix(key + static_cast<uint64_t>(index), 0) >> 11;
  const double unit = static_cast<double>(bits) * 0x1p-53;
  const auto value = static_cast<float>(low + unit * (static_cast<double>(high) - low));
  return value < high ? value : low;  // Rounding to float may have reached `high`.
}

}  // namespace

float LargestInitialValue(const v1::Layout& layout) {
  float largest = 0;
  for (const v1::Tensor& tensor : layout.tensors()) {
    const v1::Initializer& initializer = tensor.initializer();
    for (const float value :
         {initializer.constant(), initializer.uniform().low(), initializer.uniform().high()}) {
      largest = std::max(largest, std::abs(value));
    }
  }
  return largest;
}

LayoutInitializer::LayoutInitializer(const v1::Layout& layout, uint64_t seed) {
  int64_t begin = 0;
  for (const v1::Tensor& tensor : layout.tensors()) {
    const int64_t end = begin + ElementCount(tensor);
    spans_.push_back({begin, end, &tensor.initializer(), TensorKey(seed, tensor.name())});
    begin = end;
  }
}

void LayoutInitializer::Fill(int64_t begin, int64_t size, float* values) const {
  const int64_t end = begin + size;
  auto span = std::upper_bound(spans_.begin(), spans_.end(), begin,
                               [](int64_t at, const Span& s) { return at < s.end; });
  for (; span != spans_.end() && span->begin < end; ++span) {
    const int64_t from = std::max(begin, span->begin);
    const int64_t to = std::min(end, span->end);
    float* const out = values + (from - begin);
    const v1::Initializer& initializer = *span->initializer;
    if (initializer.has_uniform()) {
      const float low = initializer.uniform().low();
      const float high = initializer.uniform().high();
      for (int64_t i = from; i < to; ++i) {
        out[i - from] = Uniform(span->key, i - span->begin, low, high);
      }
    } else {
      std::fill_n(out, to - from, initializer.constant());
    }
  }
}

}  // namespace gradd

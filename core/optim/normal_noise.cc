#include "core/optim/normal_noise.h"

#include <cmath>

#include "core/base/mix.h"
#include "core/base/multiversion.h"
#include "core/optim/element_math.h"

namespace gradd {

GRADD_MULTIVERSION void DrawNormal(uint64_t key, int64_t index, int64_t size, float* noise) {
  const auto first = static_cast<uint64_t>(index);
  // The counter is the index's low half; the high half is in the key.
  const uint64_t mixed = Mix(key, first >> 32);
  const auto before = static_cast<uint32_t>(mixed);
  const auto middle = static_cast<uint32_t>(mixed >> 32);
  const auto counter = static_cast<uint32_t>(first) + before;
  const auto count = static_cast<uint32_t>(size);
  constexpr float kUnit = 1.0f / (1 << 24);
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t a = counter + i;
    a = (a ^ (a >> 16)) * 0x7feb352d;
    a = ((a ^ (a >> 15)) + middle) * 0x846ca68b;
    a = a ^ (a >> 16);
    uint32_t b = a * 0x9e3779b1;
    b = b ^ (b >> 15);
    // Their upper 24 bits, which float32 holds: one in (0, 1) for the radius, one for the angle.
    const float u = (static_cast<float>(static_cast<int32_t>(a >> 8)) + 0.5f) * kUnit;
    const float turns = static_cast<float>(static_cast<int32_t>(b >> 8)) * kUnit;
    const float radius = std::sqrt(-2 * Log(u));
    noise[i] = radius * SineOfTurns(0.25f - std::abs(turns - 0.5f));
  }
}

}  // namespace gradd

#include "core/optim/normal_noise.h"

#include <cmath>

#include "core/base/mix.h"
#include "core/base/multiversion.h"
#include "core/optim/element_math.h"

namespace gradd {

GRADD_MULTIVERSION_WIDE const float* DrawNormal(uint64_t key, int64_t index, int64_t size,
                                                NoiseBuffer* buffer) {
  constexpr int64_t kPairs = 16;  // In a group of 32 indices: 0 and 16, 1 and 17, ...
  constexpr float kRadiusUnit = 1.0f / (1 << 18);
  constexpr float kEighth = 0.785398163f;
  constexpr float kAngleUnit = 2 * kEighth / (1 << 12);
  const int64_t skipped = index % (2 * kPairs);
  const auto first = static_cast<uint64_t>(index - skipped) / 2;
  // The counter is 32 bits long; the other ones are in the key.
  const uint64_t mixed = Mix(key, first >> 32);
  const auto before = static_cast<uint32_t>(mixed);
  const auto middle = static_cast<uint32_t>(mixed >> 32);
  auto counter = static_cast<uint32_t>(first) + before;
  float* values = buffer->values;
  for (int64_t done = -skipped; done < size; done += 2 * kPairs) {
    for (uint32_t i = 0; i < kPairs; ++i) {
      uint32_t a = counter + i;
      a = (a ^ (a >> 16)) * 0x7feb352d;
      a = ((a ^ (a >> 15)) + middle) * 0x846ca68b;
      a = a ^ (a >> 16);
      // 18 bits for the radius, 12 for the angle in a quadrant, two for the quadrant.
      const float u = (static_cast<float>(static_cast<int32_t>(a >> 14)) + 0.5f) * kRadiusUnit;
      const float radius = std::sqrt(-Log(u));
      const auto angle = static_cast<float>(static_cast<int32_t>((a >> 2) & 0xfff));
      const float x = angle * kAngleUnit - kEighth;
      const float sine = Sine(x);
      const float cosine = Cosine(x);
      // An eighth of a turn further, which is a factor sqrt(1/2) away from these.
      values[i] = WithSign(radius * (cosine - sine), a << 31);
      values[i + kPairs] = WithSign(radius * (cosine + sine), a << 30);
    }
    counter += kPairs;
    values += 2 * kPairs;
  }
  return buffer->values + skipped;
}

}  // namespace gradd

#ifndef GRADD_CORE_OPTIM_NORMAL_NOISE_H_
#define GRADD_CORE_OPTIM_NORMAL_NOISE_H_

#include <cstdint>

#include "core/store/slot.h"

namespace gradd {

// Numbers that look drawn from the standard normal distribution, for the elements of one tile. Each
// depends on `key` and the place of its element in the flat vector alone.
//
// A counter goes through a 32-bit mixing function (xor-shifts and odd multipliers, with a half of
// the key before and in the middle of it). Each half of the result is a uniform number v in (-1,
// 1), and c1 v + c3 v^3 has the second and the fourth moment of the normal distribution. 16 of
// these, added with all signs of a Hadamard matrix, are 16 numbers that are uncorrelated and much
// closer to it (Thomas 2015, "The Table-Hadamard GRNG", has tables in place of the polynomial).
// Without a logarithm, a root and an angle, it takes a third of the time of Box and Muller's
// method.
//
// Nearly normal: the sixth moment is 14.99 instead of 15. Up to 3 standard deviations the share
// beyond is right to 0.2 %; beyond 4 there are 3 % too few, beyond 5 (of 2 million numbers, one)
// 16 % and beyond 6 (one of 900 million) 44 %, and none is beyond 9.51. The 16 numbers of the same
// sums are uncorrelated, but not independent.
//
// Two keys whose middle halves are the same, one pair in 2^32, have the same numbers some places
// apart.
class NormalNoise {
 public:
  // For a tile that begins at element `begin`.
  NormalNoise(uint64_t key, int64_t begin)
      : key_(key), group_(begin / kGroupElements), skipped_(begin % kGroupElements) {}

  // Draws up to the tile's element `size`, at most kTileElements, what has not been drawn yet; the
  // number of its element i is then at [i].
  const float* UpTo(int64_t size) {
    for (; drawn_ < skipped_ + size; drawn_ += kGroupElements) {
      DrawGroup(key_, group_++, values_ + drawn_);
    }
    return values_ + skipped_;
  }

 private:
  static constexpr uint32_t kRows = 16;
  static constexpr uint32_t kLanes = 16;
  static constexpr int64_t kGroupElements = int64_t{kRows} * kLanes;

  // Of elements from group * kGroupElements on.
  static void DrawGroup(uint64_t key, int64_t group, float* values);

  const uint64_t key_;
  int64_t group_;
  const int64_t skipped_;  // Of the first group, what is before the tile.
  int64_t drawn_ = 0;
  alignas(64) float values_[kTileElements + 2 * kGroupElements];
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_NORMAL_NOISE_H_

#include "core/codec/random_k.h"

#include "core/base/mix.h"

namespace gradd {

void RandomK(int64_t elements, int64_t k, uint64_t seed, std::vector<uint32_t>* indices) {
  const auto parts = static_cast<uint64_t>(k);
  const auto total = static_cast<uint64_t>(elements);
  // Both are at most 2^32, and so is `part`.
  const auto begin_of = [=](uint64_t part) {
    return part == parts ? total : part * (total / parts) + part * (total % parts) / parts;
  };
  indices->clear();
  for (uint64_t part = 0; part < parts; ++part) {
    const uint64_t begin = begin_of(part);
    const uint64_t width = begin_of(part + 1) - begin;
    indices->push_back(static_cast<uint32_t>(begin + ((Mix(seed, part) >> 32) * width >> 32)));
  }
}

}  // namespace gradd

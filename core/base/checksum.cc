#include "core/base/checksum.h"

// All of it here, so that nothing need be linked.
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace gradd {

struct Checksum::State {
  alignas(64) XXH3_state_t xxh;
};

Checksum::Checksum(uint64_t seed) : state_(std::make_unique<State>()) {
  XXH3_INITSTATE(&state_->xxh);
  XXH3_64bits_reset_withSeed(&state_->xxh, seed);
}

Checksum::~Checksum() = default;

void Checksum::Add(absl::string_view bytes) {
  XXH3_64bits_update(&state_->xxh, bytes.data(), bytes.size());
}

uint64_t Checksum::value() const { return XXH3_64bits_digest(&state_->xxh); }

uint64_t ChecksumOf(absl::string_view bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace gradd

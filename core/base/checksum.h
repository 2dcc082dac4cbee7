#ifndef GRADD_CORE_BASE_CHECKSUM_H_
#define GRADD_CORE_BASE_CHECKSUM_H_

#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"

namespace gradd {

// XXH3 with 64 bits (https://github.com/Cyan4973/xxHash, XXH3_64bits_withSeed) of bytes that come
// in pieces: however they are cut, the sum is the same. It tells damage, not forgery. Not thread
// safe.
//
// Example:
//   Checksum sum(/*seed=*/0);
//   sum.Add(header);
//   sum.Add(data);
//   if (sum.value() != expected) ...
class Checksum {
 public:
  explicit Checksum(uint64_t seed);
  ~Checksum();
  Checksum(const Checksum&) = delete;
  Checksum& operator=(const Checksum&) = delete;

  void Add(absl::string_view bytes);
  // Of all that was added so far.
  uint64_t value() const;

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

// The same of bytes in one piece.
uint64_t ChecksumOf(absl::string_view bytes, uint64_t seed);

}  // namespace gradd

#endif  // GRADD_CORE_BASE_CHECKSUM_H_

#ifndef GRADD_CORE_DURABILITY_FILE_CHECKSUM_H_
#define GRADD_CORE_DURABILITY_FILE_CHECKSUM_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/base/checksum.h"

namespace gradd {

// The checksum of a file is that of its pieces of 1 MiB, so that several threads can compute it:
// XXH3 with 64 bits of each piece, and XXH3 with 128 bits of these, one after the other, each as 8
// bytes little-endian. Those 128 bits are 16 bytes, the most significant first ("canonical").

inline constexpr int64_t kChecksumPieceBytes = int64_t{1} << 20;
inline constexpr int64_t kChecksumBytes = 16;

// The checksum of a file whose pieces have these: see Checksum, with seed 0.
std::string ChecksumOfPieces(const std::vector<uint64_t>& pieces);

// The checksum of a file that is written from front to back.
class FileChecksum {
 public:
  void Add(absl::string_view bytes);
  // Of all that was added; nothing is added after it.
  std::string Finish();

 private:
  void EndPiece();

  std::optional<Checksum> piece_;  // Unset: it has nothing in it yet.
  int64_t in_piece_ = 0;           // Bytes in it.
  std::vector<uint64_t> pieces_;
};

// XXH3 with 128 bits of a text, as 32 hexadecimal digits.
std::string TextChecksum(absl::string_view text);

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_FILE_CHECKSUM_H_

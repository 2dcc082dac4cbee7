#include "core/durability/file_checksum.h"

#include <algorithm>

#include "absl/strings/escaping.h"

#define XXH_INLINE_ALL
#include "xxhash.h"

namespace gradd {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "hashes of pieces are little-endian");

std::string Canonical(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  static_assert(sizeof(canonical.digest) == kChecksumBytes);
  return {reinterpret_cast<const char*>(canonical.digest), sizeof(canonical.digest)};
}

}  // namespace

std::string ChecksumOfPieces(const std::vector<uint64_t>& pieces) {
  return Canonical(XXH3_128bits(pieces.data(), pieces.size() * sizeof(uint64_t)));
}

void FileChecksum::Add(absl::string_view bytes) {
  while (!bytes.empty()) {
    const auto size = std::min(static_cast<size_t>(kChecksumPieceBytes - in_piece_), bytes.size());
    if (!piece_.has_value()) piece_.emplace(/*seed=*/0);
    piece_->Add(bytes.substr(0, size));
    bytes.remove_prefix(size);
    in_piece_ += static_cast<int64_t>(size);
    if (in_piece_ == kChecksumPieceBytes) EndPiece();
  }
}

void FileChecksum::EndPiece() {
  pieces_.push_back(piece_->value());
  piece_.reset();
  in_piece_ = 0;
}

std::string FileChecksum::Finish() {
  if (piece_.has_value()) EndPiece();
  return ChecksumOfPieces(pieces_);
}

std::string TextChecksum(absl::string_view text) {
  return absl::BytesToHexString(Canonical(XXH3_128bits(text.data(), text.size())));
}

}  // namespace gradd

#include "core/durability/file_checksum.h"

#include <algorithm>
#include <utility>

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

struct PieceHash::State {
  XXH3_state_t xxh3;
};

PieceHash::PieceHash() : state_(std::make_unique<State>()) { XXH3_64bits_reset(&state_->xxh3); }
PieceHash::~PieceHash() = default;
PieceHash::PieceHash(PieceHash&&) noexcept = default;
PieceHash& PieceHash::operator=(PieceHash&&) noexcept = default;

void PieceHash::Add(absl::string_view bytes) {
  XXH3_64bits_update(&state_->xxh3, bytes.data(), bytes.size());
}

uint64_t PieceHash::Finish() {
  const uint64_t hash = XXH3_64bits_digest(&state_->xxh3);
  XXH3_64bits_reset(&state_->xxh3);
  return hash;
}

std::string ChecksumOf(const std::vector<uint64_t>& pieces) {
  return Canonical(XXH3_128bits(pieces.data(), pieces.size() * sizeof(uint64_t)));
}

void FileChecksum::Add(absl::string_view bytes) {
  while (!bytes.empty()) {
    const auto size = std::min(static_cast<size_t>(kChecksumPieceBytes - in_piece_), bytes.size());
    piece_.Add(bytes.substr(0, size));
    bytes.remove_prefix(size);
    in_piece_ += static_cast<int64_t>(size);
    if (in_piece_ < kChecksumPieceBytes) return;
    pieces_.push_back(piece_.Finish());
    in_piece_ = 0;
  }
}

std::string FileChecksum::Finish() {
  if (std::exchange(in_piece_, 0) > 0) pieces_.push_back(piece_.Finish());
  return ChecksumOf(pieces_);
}

std::string TextChecksum(absl::string_view text) {
  return absl::BytesToHexString(Canonical(XXH3_128bits(text.data(), text.size())));
}

}  // namespace gradd

#include "core/durability/checked_read.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <new>
#include <utility>

#include "core/base/checksum.h"
#include "core/base/mutex.h"
#include "core/durability/file_checksum.h"

namespace gradd {
namespace {

// Read at once, so that it is in the cache still when it is hashed.
constexpr int64_t kReadBytes = int64_t{256} << 10;
// For what belongs nowhere. On the stack: the threads of an executor must not throw.
constexpr int64_t kScratchBytes = int64_t{32} << 10;

// Reads the piece of the file from `begin` to `end`.
absl::StatusOr<uint64_t> ReadPiece(const ReadableFile& file, int64_t begin, int64_t end,
                                   const std::vector<FilePart>& parts) {
  Checksum hash(/*seed=*/0);
  std::array<char, kScratchBytes> scratch;
  // The first part that is not before `begin`.
  auto part = std::partition_point(parts.begin(), parts.end(), [begin](const FilePart& each) {
    return each.begin + each.bytes <= begin;
  });
  while (begin < end) {
    while (part != parts.end() && part->begin + part->bytes <= begin) ++part;
    int64_t bytes = std::min(end - begin, kReadBytes);
    char* to = scratch.data();
    if (part != parts.end() && part->begin <= begin) {
      to = part->to + (begin - part->begin);
      bytes = std::min(bytes, part->begin + part->bytes - begin);
    } else {
      bytes = std::min(bytes, kScratchBytes);
      if (part != parts.end()) bytes = std::min(bytes, part->begin - begin);
    }
    const absl::Status read = file.Read(begin, bytes, to);
    if (!read.ok()) return read;
    hash.Add({to, static_cast<size_t>(bytes)});
    begin += bytes;
  }
  return hash.value();
}

}  // namespace

absl::StatusOr<std::string> ReadChecked(const ReadableFile& file, int64_t bytes,
                                        std::vector<FilePart> parts, Executor* executor) {
  std::sort(parts.begin(), parts.end(),
            [](const FilePart& a, const FilePart& b) { return a.begin < b.begin; });
  const int64_t count = (bytes + kChecksumPieceBytes - 1) / kChecksumPieceBytes;
  std::vector<uint64_t> hashes(static_cast<size_t>(count));
  std::atomic<bool> failed{false};
  Mutex mutex;
  absl::Status status;
  const auto read = [&](int64_t piece) {
    if (failed.load(std::memory_order_relaxed)) return;
    const int64_t begin = piece * kChecksumPieceBytes;
    try {
      const absl::StatusOr<uint64_t> hash =
          ReadPiece(file, begin, std::min(begin + kChecksumPieceBytes, bytes), parts);
      if (hash.ok()) {
        hashes[static_cast<size_t>(piece)] = *hash;
        return;
      }
      failed = true;
      MutexLock lock(&mutex);
      status.Update(hash.status());
    } catch (const std::bad_alloc&) {
      failed = true;  // For the caller, since nobody else would catch it.
    }
  };
  if (executor != nullptr) {
    executor->ParallelFor(count, read);
  } else {
    for (int64_t piece = 0; piece < count; ++piece) read(piece);
  }
  if (failed && status.ok()) throw std::bad_alloc();
  if (failed) return status;
  return ChecksumOfPieces(hashes);
}

}  // namespace gradd

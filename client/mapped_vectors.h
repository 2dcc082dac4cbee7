#ifndef GRADD_CLIENT_MAPPED_VECTORS_H_
#define GRADD_CLIENT_MAPPED_VECTORS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/base/mutex.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// A worker's gradient and parameters at addresses that never change, although what lies behind
// them does: memory of the worker's own, or regions of a server on the same host.
//
// Thread safe; what lies in the vectors is not.
class MappedVectors {
 public:
  // Reserves addresses; fails if the system has none left.
  static absl::StatusOr<std::unique_ptr<MappedVectors>> Create(int64_t elements);
  ~MappedVectors();
  MappedVectors(const MappedVectors&) = delete;
  MappedVectors& operator=(const MappedVectors&) = delete;

  // For the worker to write.
  absl::Span<float> gradient() const { return {gradient_.data, elements_}; }
  // For the worker to read.
  absl::Span<const float> parameters() const { return {parameters_.data, elements_}; }

  // Opens the server's regions, for Attach(). An error says why that cannot be done; nothing has
  // changed then.
  absl::Status Open(const v1::SharedMemory& shared);
  // Puts the gradient region opened last behind the gradient, which keeps its values; without one,
  // memory of the worker's own. The caller may not write the gradient meanwhile.
  absl::Status Attach();
  // Forgets what was opened.
  void Close();
  // Whether the server reads the gradient where the worker writes it.
  bool attached() const {
    MutexLock lock(&mutex_);
    return attached_ == Attached::kOpened;
  }

  // Puts the blocks that the server names behind the parameters.
  absl::Status Map(const v1::SharedParameters& blocks);

  // Memory of the worker's own behind the parameters, for who gets them in chunks.
  absl::StatusOr<absl::Span<float>> OwnParameters();

 private:
  // A reservation of whole pages.
  struct Range {
    float* data = nullptr;
    size_t bytes = 0;
  };
  explicit MappedVectors(int64_t elements);
  // Puts `file` behind the range, or memory of the worker's own if that is -1.
  static absl::Status Replace(const Range& range, int file, bool keep_values);
  static void CloseFile(int* file);
  void CloseFiles() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Reserves the addresses to park blocks at, if that can be done.
  void MakeParking() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Moves the block of the parameters' file at `offset` behind the parameters at `at`, and what is
  // there, from `old_offset` or -1, out of the way. False if it must be mapped anew.
  bool SwapIn(std::byte* at, size_t bytes, int64_t old_offset, int64_t offset)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t elements_;
  Range gradient_;
  Range parameters_;
  // What is behind the gradient.
  enum class Attached { kOwn, kEarlier, kOpened };
  mutable Mutex mutex_;
  Attached attached_ ABSL_GUARDED_BY(mutex_) = Attached::kOwn;
  bool own_parameters_ ABSL_GUARDED_BY(mutex_) = true;
  int gradient_file_ ABSL_GUARDED_BY(mutex_) = -1;
  int parameter_file_ ABSL_GUARDED_BY(mutex_) = -1;
  int64_t parameter_file_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t block_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // Versions of a block take turns in a few places of the file. One that is not behind the
  // parameters is parked, at its place in this range as long as the file, with its pages mapped: to
  // map it anew would take a page fault for every few pages, at every step. Empty: not to be had.
  Range parking_ ABSL_GUARDED_BY(mutex_);
  std::set<int64_t> parked_ ABSL_GUARDED_BY(mutex_);  // Offsets in the file.
  // Of each block; -1: not mapped.
  std::vector<int64_t> mapped_offsets_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gradd

#endif  // GRADD_CLIENT_MAPPED_VECTORS_H_

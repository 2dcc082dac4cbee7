#ifndef GRADD_CORE_OPTIM_SCRATCH_POOL_H_
#define GRADD_CORE_OPTIM_SCRATCH_POOL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "core/base/mutex.h"
#include "core/optim/scratch.h"

namespace gradd {

// Pieces of memory of one size that are allocated beforehand and lent to whoever works just now.
// Lending is thread safe and allocates nothing.
class ScratchPool {
 public:
  // `count` pieces of so many bytes, from Allocate() on.
  ScratchPool(int64_t count, int64_t piece_bytes) : count_(count), piece_bytes_(piece_bytes) {}

  // Bytes that Allocate() takes.
  int64_t bytes() const { return count_ * piece_bytes_; }
  // Takes them, or those that are missing, so that it may be called again, also after it has
  // thrown: std::bad_alloc if there is no memory.
  void Allocate();

  // Lends a piece for as long as this lives; waits until one is free.
  class Loan {
   public:
    explicit Loan(ScratchPool* pool);
    ~Loan();
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;

    // Aligned to Scratch::kAlignment.
    std::byte* memory() const { return memory_; }

   private:
    ScratchPool* const pool_;
    std::byte* memory_;
  };

 private:
  struct Free {
    void operator()(std::byte* memory) const {
      ::operator delete (memory, std::align_val_t{Scratch::kAlignment});
    }
  };

  const int64_t count_;
  const int64_t piece_bytes_;
  Mutex mutex_;
  std::vector<std::unique_ptr<std::byte, Free>> pieces_ ABSL_GUARDED_BY(mutex_);
  CondVar given_back_;
  std::vector<std::byte*> free_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_SCRATCH_POOL_H_

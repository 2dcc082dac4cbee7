#ifndef GRADD_CORE_OPTIM_SCRATCH_H_
#define GRADD_CORE_OPTIM_SCRATCH_H_

#include <cstddef>
#include <cstdint>

namespace gradd {

// Hands out parts of memory that somebody else has allocated. With null for it, it only counts:
// the same code that takes the parts says how many bytes they need.
//
//   struct Room {
//     Room(const TensorShape& shape, Scratch* scratch) : sums(scratch->Take<double>(shape.rows()))
//     {} double* sums;
//   };
class Scratch {
 public:
  static constexpr int64_t kAlignment = 64;

  Scratch() = default;
  // `memory` is aligned to kAlignment.
  explicit Scratch(std::byte* memory) : memory_(memory) {}

  // Room for `count` values, not initialized, aligned to kAlignment; null if it only counts.
  template <typename T>
  T* Take(int64_t count) {
    T* const part = memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + bytes_);
    const int64_t bytes = count * static_cast<int64_t>(sizeof(T));
    bytes_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return part;
  }
  // That have been taken.
  int64_t bytes() const { return bytes_; }

 private:
  std::byte* const memory_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_SCRATCH_H_

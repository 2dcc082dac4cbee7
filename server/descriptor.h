#ifndef GRADD_SERVER_DESCRIPTOR_H_
#define GRADD_SERVER_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace gradd {

// Owns a file descriptor, or none.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() { Reset(); }
  Descriptor(Descriptor&& other) noexcept : number_(other.Release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      Reset();
      number_ = other.Release();
    }
    return *this;
  }

  // -1 for none.
  int get() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }

  // Gives it up; the caller owns it.
  int Release() { return std::exchange(number_, -1); }
  void Reset() {
    if (number_ >= 0) close(Release());
  }

 private:
  int number_ = -1;
};

}  // namespace gradd

#endif  // GRADD_SERVER_DESCRIPTOR_H_

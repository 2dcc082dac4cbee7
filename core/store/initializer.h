#ifndef GRADD_CORE_STORE_INITIALIZER_H_
#define GRADD_CORE_STORE_INITIALIZER_H_

#include <cstdint>
#include <vector>

#include "gradd/v1/layout.pb.h"

namespace gradd {

// No initial value of the layout has a larger magnitude.
float LargestInitialValue(const v1::Layout& layout);

// The initial values of a layout's tensors. Any range can be filled on its own: a random
// value depends on the seed, the tensor's name and the element's index alone.
// Thread safe. `layout` must outlive it and be valid.
class LayoutInitializer {
 public:
  LayoutInitializer(const v1::Layout& layout, uint64_t seed);

  // Writes elements [begin, begin + size) of the flat vector to `values`.
  void Fill(int64_t begin, int64_t size, float* values) const;

 private:
  struct Span {
    int64_t begin;
    int64_t end;
    const v1::Initializer* initializer;
    uint64_t key;
  };
  std::vector<Span> spans_;  // One per tensor, in order.
};

}  // namespace gradd

#endif  // GRADD_CORE_STORE_INITIALIZER_H_

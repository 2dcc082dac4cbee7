#ifndef GRADD_CORE_STORE_INITIALIZER_H_
#define GRADD_CORE_STORE_INITIALIZER_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "core/base/executor.h"
#include "core/store/initial_distribution.h"
#include "core/store/initial_values.h"
#include "gradd/v1/layout.pb.h"

namespace gradd {

// No initial value of the layout has a larger magnitude.
float LargestInitialValue(const v1::Layout& layout);

// The doubles that the initial values of a valid layout are made in: for its largest orthogonal
// tensor, since they are made one after the other.
int64_t InitialScratchSize(const v1::Layout& layout);

// The initial values of a valid layout's tensors. A random value depends on the seed, the tensor's
// name and the element's index; in an orthogonal tensor, on those of all its elements. Thread safe.
class LayoutInitializer final : public InitialValues {
 public:
  LayoutInitializer(const v1::Layout& layout, uint64_t seed);

  // All but orthogonal tensors. Always OK.
  absl::Status Fill(int64_t begin, int64_t size, float* values) const override;

  // Orthogonal tensors. `scratch` is InitialScratchSize() long.
  int64_t scratch_size() const override { return scratch_size_; }
  void FillWhole(int64_t block_elements, const std::function<float*(int64_t)>& block,
                 double* scratch, Executor* pool) const override;

 private:
  struct Span {
    int64_t begin;
    int64_t end;
    InitialDistribution distribution;
    uint64_t key;
  };
  const int64_t scratch_size_;
  std::vector<Span> spans_;  // One per tensor, in order.
};

}  // namespace gradd

#endif  // GRADD_CORE_STORE_INITIALIZER_H_

#ifndef GRADD_CORE_STORE_LAYOUT_H_
#define GRADD_CORE_STORE_LAYOUT_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gradd/v1/layout.pb.h"

namespace gradd {

// A run's tensors, checked. Immutable.
class Layout {
 public:
  // INVALID_ARGUMENT names the tensor and the field; RESOURCE_EXHAUSTED when the
  // elements are more than `max_elements`. Sizes that overflow are caught.
  static absl::StatusOr<Layout> Create(const v1::Layout& message, int64_t max_elements);

  const v1::Layout& message() const { return message_; }
  int64_t element_count() const { return element_count_; }

  // Where a tensor lies in the flat vector.
  struct Place {
    int64_t begin;
    int64_t end;
    int64_t row_elements;  // A row: what one index into the first dimension selects.
  };
  // Of the tensor that element `element` belongs to. Range: [0, element_count()).
  Place TensorAt(int64_t element) const;

  // OK if `other` has the same tensors (name and shape) in the same order; else
  // INVALID_ARGUMENT that says which tensor differs and how.
  absl::Status CheckSame(const v1::Layout& other) const;

 private:
  Layout() = default;
  v1::Layout message_;
  int64_t element_count_ = 0;
  std::vector<int64_t> begins_;  // Of each tensor.
};

// Elements of one tensor, or -1 if a dimension is below 1 or the product exceeds 2^62.
int64_t ElementCount(const v1::Tensor& tensor);

// Whether files have that name for other things than parameters, so that no tensor of a layout has
// it.
bool IsReservedTensorName(absl::string_view name);

}  // namespace gradd

#endif  // GRADD_CORE_STORE_LAYOUT_H_

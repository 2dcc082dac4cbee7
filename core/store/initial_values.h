#ifndef GRADD_CORE_STORE_INITIAL_VALUES_H_
#define GRADD_CORE_STORE_INITIAL_VALUES_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "core/base/executor.h"

namespace gradd {

// What the parameters of a new run begin at: the layout's initializers (LayoutInitializer), or a
// file (WeightsFile).
//
// Example, for one vector on its own:
//   GRADD_RETURN_IF_ERROR(values.Fill(0, size, vector.data()));
//
// Thread safe.
class InitialValues {
 public:
  InitialValues() = default;
  virtual ~InitialValues() = default;
  InitialValues(const InitialValues&) = delete;
  InitialValues& operator=(const InitialValues&) = delete;

  // Writes elements [begin, begin + size) of the flat vector to `values`, which is not aligned: any
  // range can be filled on its own, and none depends on another. An error says what of the values
  // is wrong; `values` is of no use then.
  virtual absl::Status Fill(int64_t begin, int64_t size, float* values) const = 0;

  // ---- What cannot be made range by range ----

  // The doubles that FillWhole() works in.
  virtual int64_t scratch_size() const { return 0; }
  // Sets the elements that Fill() has left out, in a vector whose block i, of `block_elements`
  // elements or what is left, lies at block(i). Works on the pool.
  virtual void FillWhole(int64_t /*block_elements*/,
                         const std::function<float*(int64_t)>& /*block*/, double* /*scratch*/,
                         Executor* /*pool*/) const {}
};

}  // namespace gradd

#endif  // GRADD_CORE_STORE_INITIAL_VALUES_H_

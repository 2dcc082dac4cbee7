#ifndef GRADD_TESTS_SUPPORT_SPECS_H_
#define GRADD_TESTS_SUPPORT_SPECS_H_

#include <cstdint>

#include "core/store/layout.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// A run with one tensor `w` of zeros, plain SGD with learning rate 1, and `workers` synchronous
// workers: its parameters are minus the sum of the mean gradients.
v1::Run SynchronousSpec(int64_t elements, int workers);

// The same, asynchronous.
v1::Run AsynchronousSpec(int64_t elements);

// Of one tensor of that many rows, each of that many elements.
Layout MatrixLayout(int64_t rows, int64_t row_elements);
// Of one vector. The same one for the same length, forever.
const Layout& VectorLayout(int64_t elements);

}  // namespace gradd

#endif  // GRADD_TESTS_SUPPORT_SPECS_H_

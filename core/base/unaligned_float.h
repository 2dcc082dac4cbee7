#ifndef GRADD_CORE_BASE_UNALIGNED_FLOAT_H_
#define GRADD_CORE_BASE_UNALIGNED_FLOAT_H_

namespace gradd {

// A float32 at any address: gradients are read where the transport has put them, which is seldom a
// multiple of 4. Vector loads cost the same there. The same type as float but for the alignment, so
// pointers to floats convert; templates forget it.
typedef float UnalignedFloat __attribute__((aligned(1)));  // NOLINT(modernize-use-using)

}  // namespace gradd

#endif  // GRADD_CORE_BASE_UNALIGNED_FLOAT_H_

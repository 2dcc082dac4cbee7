#ifndef GRADD_TESTS_CORE_RUN_RANDOM_SPEC_H_
#define GRADD_TESTS_CORE_RUN_RANDOM_SPEC_H_

#include <google/protobuf/field_mask.pb.h>

#include <cstdint>
#include <random>

#include "gradd/v1/run.pb.h"

namespace gradd {

// What somebody may ask of a run. Deadlines are at most 2 s and leases 3 s; `workers` are those
// that a synchronous run starts with.
v1::SynchronizationPolicy RandomPolicy(int64_t workers, std::mt19937_64* random);
v1::Optimizer RandomOptimizer(std::mt19937_64* random);
v1::Run RandomSpec(int64_t workers, std::mt19937_64* random);

// A live change: those values of those fields.
struct SpecChange {
  v1::Run values;
  google::protobuf::FieldMask mask;
};
SpecChange RandomChange(int64_t workers, std::mt19937_64* random);

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_RANDOM_SPEC_H_

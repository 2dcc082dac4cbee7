#ifndef GRADD_TESTS_CORE_RUN_CUT_PUSH_H_
#define GRADD_TESTS_CORE_RUN_CUT_PUSH_H_

#include <cstdint>
#include <random>
#include <vector>

#include "gradd/v1/run.pb.h"
#include "gradd/v1/training_service.pb.h"
#include "tests/core/run/every_stage.h"
#include "tests/support/trainee.h"

namespace gradd {

// Workers whose pushes are cut.
inline constexpr int kCutWorkers = 2;

// A synchronous run of them, of 12,397 elements in tensors that end within a tile, and some that
// are longer than one.
v1::Run SpecOf(const NamedOptimizer& optimizer);

// The worker's push for a step, which depends on nothing else, in chunks of that encoding, or the
// same numbers as float32. Where the chunks end and in which order they come is random.
std::vector<Part> CutPush(v1::Encoding encoding, bool encoded, int step, int worker,
                          std::mt19937* random);

// Some rows of all matrices, in chunks of whole rows; the rest as it is, in chunks too.
std::vector<Part> CutRows(int step, int worker, std::mt19937* cuts);

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_CUT_PUSH_H_

#ifndef GRADD_CORE_DIAGNOSTICS_PUSH_OUTCOMES_H_
#define GRADD_CORE_DIAGNOSTICS_PUSH_OUTCOMES_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "gradd/state/v1/diagnostics.pb.h"
#include "gradd/v1/run.pb.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// Pushes by what became of them, indexed by v1::PushOutcome.
using PushOutcomeCounts = std::array<int64_t, v1::PushOutcome_ARRAYSIZE>;

// Counts the pushes of one run by what became of them. A value. Not thread safe.
class PushOutcomes {
 public:
  void Add(v1::PushOutcome outcome) { ++counts_[static_cast<size_t>(outcome)]; }
  const PushOutcomeCounts& counts() const { return counts_; }

  // How many pushes were applied, and how many were not.
  void Fill(v1::RunProgress* progress) const;

  void Write(state::v1::OutcomesState* state) const;
  // Goes on from what Write() has given. INVALID_ARGUMENT, with nothing changed, names a count that
  // is negative, or more outcomes than there are.
  absl::Status Read(const state::v1::OutcomesState& state);

 private:
  PushOutcomeCounts counts_{};
};

}  // namespace gradd

#endif  // GRADD_CORE_DIAGNOSTICS_PUSH_OUTCOMES_H_

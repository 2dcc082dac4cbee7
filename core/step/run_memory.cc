#include "core/step/run_memory.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/step/base_snapshots.h"
#include "core/store/initializer.h"

namespace gradd {

int64_t StoreBytes(const Layout& layout, const UpdatePlan& plan, int64_t kept_steps) {
  return BaseSnapshots::BytesFor(kept_steps, layout.element_count()) +
         layout.element_count() * static_cast<int64_t>(sizeof(float)) + plan.state_bytes() -
         plan.kept_bytes();
}

absl::StatusOr<RunMemory> ClaimRunMemory(const std::string& run_id, const StepPolicy& policy,
                                         const Layout& layout, const UpdatePlan& plan,
                                         MemoryBudget* budget) {
  RunMemory memory;
  memory.step_room = budget->Assure();
  GRADD_RETURN_IF_ERROR(AssureStaging(policy, layout.element_count(), /*live_workers=*/0, *budget,
                                      memory.step_room.get()));
  const int64_t bytes = StoreBytes(layout, plan, policy.kept_steps());
  auto state = budget->Take(MemoryUse::kState, bytes);
  if (state == nullptr) {
    return StoreTooLarge(run_id, bytes, policy.kept_steps(), layout, *budget);
  }
  memory.store =
      std::make_shared<StoreMemory>(std::move(state), budget->Take(MemoryUse::kVersions, 0));
  return memory;
}

absl::StatusOr<std::shared_ptr<MemoryBudget::Claim>> ClaimInitialScratch(const std::string& run_id,
                                                                         const Layout& layout,
                                                                         MemoryBudget* budget) {
  const int64_t bytes = InitialScratchSize(layout.message()) * int64_t{sizeof(double)};
  auto scratch = budget->Take(MemoryUse::kScratch, bytes);
  if (scratch != nullptr) return scratch;
  return Error(absl::StatusCode::kResourceExhausted, "SCRATCH_TOO_LARGE",
               absl::StrCat("run \"", run_id, "\" needs ", bytes,
                            " bytes to make the orthogonal initial values of its largest tensor; ",
                            budget->taken_bytes(), " of the server's ", budget->limits().total,
                            " are taken"));
}

absl::Status ScratchTooLarge(const std::string& run_id, int64_t bytes, const MemoryBudget& budget) {
  return Error(
      absl::StatusCode::kResourceExhausted, "SCRATCH_TOO_LARGE",
      absl::StrCat("run \"", run_id, "\" needs ", bytes, " bytes for its optimizers to work in; ",
                   budget.taken_bytes(), " of the server's ", budget.limits().total, " are taken"));
}

absl::Status StateTooLarge(const std::string& run_id, int64_t bytes, const MemoryBudget& budget) {
  return Error(absl::StatusCode::kResourceExhausted, "STATE_TOO_LARGE",
               absl::StrCat("run \"", run_id, "\" needs ", bytes,
                            " bytes for what its steps go on from; the runs have ",
                            budget.taken_bytes(MemoryUse::kState), " of the server's limit of ",
                            budget.limits().of(MemoryUse::kState), ", and ", budget.taken_bytes(),
                            " of the ", budget.limits().total,
                            " for everything are taken, pushes of a step not counted"));
}

absl::Status StoreTooLarge(const std::string& run_id, int64_t bytes, int64_t kept_steps,
                           const Layout& layout, const MemoryBudget& budget) {
  absl::Status too_large = StateTooLarge(run_id, bytes, budget);
  const int64_t kept_bytes = BaseSnapshots::BytesFor(kept_steps, layout.element_count());
  const int64_t missing = bytes - budget.left_bytes(MemoryUse::kState);
  if (missing > kept_bytes) return too_large;
  const int64_t each = layout.element_count() * static_cast<int64_t>(sizeof(float));
  const int64_t fit = kept_steps - (std::max<int64_t>(missing, 0) + each - 1) / each;
  return Error(
      too_large.code(), ReasonOf(too_large),
      absl::StrCat("policy.asynchronous.delay_compensation.kept_steps: ", kept_steps, " takes ",
                   kept_bytes, " bytes, ", each, " for each and one more, expected ",
                   fit < 1 ? "no delay_compensation, since not even 1 fits"
                           : absl::StrCat("at most ", fit, ", which fit"),
                   ": ", too_large.message()));
}

absl::Status StateOutOfMemory(const std::string& run_id) {
  return Error(absl::StatusCode::kResourceExhausted, "OUT_OF_MEMORY",
               absl::StrCat("run \"", run_id,
                            "\": the server's machine does not have the memory for what its "
                            "steps go on from"));
}

absl::Status AssureStaging(const StepPolicy& policy, int64_t elements, int64_t live_workers,
                           const MemoryBudget& budget, MemoryBudget::Assurance* step_room) {
  const int64_t pushes = policy.PushesAStep(live_workers);
  const int64_t push_bytes = elements * static_cast<int64_t>(sizeof(float));
  const int64_t limit = budget.limits().of(MemoryUse::kStaging);
  const auto refused = [&](const std::string& why) {
    return Error(absl::StatusCode::kResourceExhausted, "STAGING_TOO_SMALL",
                 absl::StrCat("a step stages ", pushes, " pushes of ", push_bytes,
                              " bytes at once, which is over ", why));
  };
  if (push_bytes > limit / pushes) {
    return refused(absl::StrCat("the server's max_staged_bytes of ", limit));
  }
  if (!step_room->Resize(pushes * push_bytes)) {
    return refused(absl::StrCat("what the runs' parameters and slots leave of the server's ",
                                budget.limits().total, " bytes"));
  }
  return absl::OkStatus();
}

}  // namespace gradd

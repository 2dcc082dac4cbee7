#ifndef GRADD_CORE_OPTIM_KEPT_STATE_H_
#define GRADD_CORE_OPTIM_KEPT_STATE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/optim/partition.h"
#include "core/optim/tensor_work.h"
#include "core/store/slot.h"

namespace gradd {

// What a plan keeps between steps besides the slots. Together with them it is all that the next
// steps depend on. The names are stable:
//   next_step                       of the run;
//   groups/<index>/first_step       of the run, when the group's optimizer began; below 0 in a copy
//                                   of another run, where it began before the copy;
//   groups/<index>/scalars/<name>   one value, or one for each of the scope's tensors in the
//                                   layout's order, see Optimizer::scalars();
//   tensors/<name>/<tensor>         see TensorTransform::State().
// Groups are counted as in the spec, the default group last; frozen ones and those without tensors
// have no first step. Scalars are named after the leader of the scope (see Partition::Scope), and
// the other groups in it have none.
using PlanState =
    std::map<std::string,
             std::variant<std::vector<int64_t>, std::vector<double>, std::vector<float>>>;

// The PlanState of a run as its steps work with it, and how it goes on when another plan takes this
// one's place.
//
// Not thread safe, apart from what is said of works().
class KeptState {
 public:
  static constexpr size_t kNone = static_cast<size_t>(-1);

  // A tensor whose gradient is transformed as a whole.
  struct Work {
    size_t tensor;
    TensorWork work;
  };

  // `partition` outlives this.
  explicit KeptState(const Partition* partition);
  KeptState(const KeptState&) = delete;
  KeptState& operator=(const KeptState&) = delete;

  // The scalars of a group's optimizer: one after the other, and where it keeps them per tensor so
  // for each of the group's tensors. Groups of one scope have equal ones otherwise: each changes
  // its own, and then they agree.
  absl::Span<double> scalars(size_t group) { return absl::MakeSpan(scalars_[group]); }
  // Groups with the same scalars take those of their scope's leader.
  void AgreeOnScalars();
  // Of the run, when the group began. It is the same for all groups of a scope that has scalars.
  int64_t first_step(size_t group) const { return first_step_[group]; }
  void set_next_step(int64_t step) { next_step_ = step; }

  // Different ones may be worked on at the same time.
  std::vector<Work>& works() { return works_; }
  const std::vector<Work>& works() const { return works_; }
  // Where the tensor's is among them, or kNone.
  size_t work_of(size_t tensor) const { return work_of_tensor_[tensor]; }

  // Bytes that Allocate() takes.
  int64_t bytes() const;
  // Takes the memory that works() need. Throws std::bad_alloc if there is none; to be called again
  // then. When all is there it does nothing.
  void Allocate();

  // The slots that are needed, and what of them starts anew when this takes the place of `before`;
  // null: it is the first one.
  SlotVectors slots(const KeptState* before) const;
  // Takes over what `before` has kept, group by group, where all tensors of a group began at the
  // same step and have the slots that its optimizer needs. Otherwise the group begins with its
  // first step: averages that began at different steps would be corrected as if they had begun
  // together. A scope whose optimizer keeps scalars goes on as a whole or not at all: all of its
  // tensors were in one scope before, with the same scalars. Both are allocated.
  void Continue(const KeptState& before);

  // Between two steps; this one is allocated.
  PlanState state() const;
  // Bytes that its vectors take, as far as they are of whole tensors; the rest is small.
  int64_t copied_bytes() const;
  // Puts back what state() has given for the same spec and layout. INVALID_ARGUMENT, with nothing
  // changed, names what is missing, is not known, has another type or length, or is no step.
  absl::Status Restore(const PlanState& state);
  // Whether all numbers of state() are finite.
  bool IsFinite() const;
  // The next step is the run's step 0: a copy of a run counts for itself. What began before it goes
  // on as it is, and has a first step below 0.
  void CountFromZero();

 private:
  // For each group: one of those in whose place it comes and as which it goes on, or kNone.
  std::vector<size_t> GroupsBefore(const KeptState& before) const;
  // The same for tensors that go on together or not at all.
  size_t GroupBefore(const KeptState& before, const std::vector<size_t>& tensors) const;
  // Whether tensors of `group` and of `first` know the same of the steps before, and those of
  // `group` can go on in group `as` of `next`.
  bool GoesOnAs(size_t first, size_t group, const Partition& next, size_t as) const;
  // `groups_before`: empty, if there is none before.
  SlotVector SlotVectorOf(size_t slot, const KeptState* before,
                          const std::vector<size_t>& groups_before) const;
  // Calls visit(name, size, at) for every entry of the state, where at(i) is a reference to its
  // value i in `kept`.
  template <typename Kept, typename Visit>
  static void VisitState(Kept* kept, const Visit& visit);
  absl::Status Check(const PlanState& state) const;

  const Partition& partition_;
  std::vector<std::vector<double>> scalars_;  // Of each group.
  std::vector<int64_t> first_step_;           // The same.
  std::vector<Work> works_;
  std::vector<size_t> work_of_tensor_;
  int64_t next_step_ = 0;  // Of the run.
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_KEPT_STATE_H_

#include "core/optim/kept_state.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/error.h"

namespace gradd {
namespace {

constexpr char kNextStep[] = "next_step";

bool SameScalars(const Optimizer& a, const Optimizer& b) {
  const auto same_name = [](const ScalarSpec& x, const ScalarSpec& y) { return x.name == y.name; };
  return a.scalars_per_tensor() == b.scalars_per_tensor() &&
         std::equal(a.scalars().begin(), a.scalars().end(), b.scalars().begin(), b.scalars().end(),
                    same_name);
}

// Whether `a` has a slot of every name that `b` needs from the beginning.
bool HasNeededSlots(const Optimizer& a, const Optimizer& b) {
  return std::all_of(b.slots().begin(), b.slots().end(), [&a](const SlotSpec& wanted) {
    return wanted.may_join ||
           std::any_of(a.slots().begin(), a.slots().end(),
                       [&wanted](const SlotSpec& slot) { return slot.name == wanted.name; });
  });
}

// Whether a group's optimizer has a slot of that name.
bool HasOfItsOwn(const Partition::Group& group, const std::string& name) {
  if (group.spec.optimizer == nullptr) return false;
  const std::vector<SlotSpec>& slots = group.spec.optimizer->slots();
  return std::any_of(slots.begin(), slots.end(),
                     [&name](const SlotSpec& slot) { return slot.name == name; });
}

bool SameStart(const SlotVector::Section& a, const SlotVector::Section& b) {
  return a.initial_value == b.initial_value && a.starts_at_parameters == b.starts_at_parameters &&
         a.restarts == b.restarts;
}

// Of what at(0) refers to.
template <typename At>
using VectorOf = std::vector<std::decay_t<std::invoke_result_t<At, size_t>>>;

absl::Status StateError(absl::string_view name, absl::string_view what) {
  return InvalidArgument("STATE_DIFFERS",
                         absl::StrCat("state of the optimizer: ", name, ": ", what));
}

template <typename Vector>
absl::Status CheckEntry(const PlanState& state, const std::string& name, size_t size) {
  const auto found = state.find(name);
  if (found == state.end()) return StateError(name, "missing");
  const auto* const values = std::get_if<Vector>(&found->second);
  if (values == nullptr) return StateError(name, "values of another type than expected");
  if (values->size() == size) return absl::OkStatus();
  return StateError(name, absl::StrCat(values->size(), " values, ", size, " expected"));
}

}  // namespace

KeptState::KeptState(const Partition* partition) : partition_(*partition) {
  const std::vector<Partition::Group>& groups = partition_.groups();
  scalars_.resize(groups.size());
  first_step_.resize(groups.size());
  for (size_t g = 0; g < groups.size(); ++g) {
    if (groups[g].spec.optimizer == nullptr) continue;
    const Optimizer& optimizer = *groups[g].spec.optimizer;
    for (size_t i = 0; i < (optimizer.scalars_per_tensor() ? groups[g].tensors.size() : 1); ++i) {
      for (const ScalarSpec& spec : optimizer.scalars()) scalars_[g].push_back(spec.initial_value);
    }
  }
  for (size_t i = 0; i < partition_.tensors().size(); ++i) {
    work_of_tensor_.push_back(kNone);
    const ParameterGroup& group = partition_.GroupOf(i).spec;
    std::vector<const TensorTransform*> stages;
    for (const auto& stage : group.stages) stages.push_back(stage.get());
    std::vector<const TensorTransform*> transforms;
    if (group.optimizer != nullptr) transforms = group.optimizer->transforms();
    if (stages.empty() && transforms.empty()) continue;
    work_of_tensor_.back() = works_.size();
    works_.push_back(
        {i, TensorWork(partition_.tensors()[i].shape, stages, group.clip, transforms)});
  }
}

void KeptState::AgreeOnScalars() {
  for (const Partition::Scope& scope : partition_.scopes()) {
    const Optimizer& optimizer = *partition_.groups()[scope.leader].spec.optimizer;
    if (optimizer.scalars_per_tensor()) continue;
    const std::vector<double>& agreed = scalars_[scope.leader];
    for (const size_t group : scope.groups) {
      std::copy(agreed.begin(), agreed.end(), scalars_[group].begin());
    }
  }
}

int64_t KeptState::bytes() const {
  int64_t bytes = 0;
  for (const Work& work : works_) bytes += work.work.bytes();
  return bytes;
}

int64_t KeptState::copied_bytes() const {
  int64_t elements = 0;
  for (const Work& work : works_) {
    for (const TensorWork::State& state : work.work.state()) elements += state.spec.length;
  }
  return elements * static_cast<int64_t>(sizeof(float));
}

void KeptState::Allocate() {
  for (Work& work : works_) work.work.Allocate();
}

size_t KeptState::GroupBefore(const KeptState& before, const std::vector<size_t>& tensors) const {
  const size_t first = before.partition_.tensors()[tensors.front()].group;
  // Most tensors have the same two groups, before and now.
  std::set<std::pair<size_t, size_t>> fitting;
  for (const size_t tensor : tensors) {
    const size_t old = before.partition_.tensors()[tensor].group;
    const auto pair = std::make_pair(old, partition_.tensors()[tensor].group);
    if (fitting.insert(pair).second && !before.GoesOnAs(first, old, partition_, pair.second)) {
      return kNone;
    }
    const size_t work = work_of(tensor);
    if (work == kNone) continue;
    const size_t old_work = before.work_of(tensor);
    const bool continues = old_work == kNone
                               ? works_[work].work.state().empty()
                               : works_[work].work.ContinuesAll(before.works_[old_work].work);
    if (!continues) return kNone;
  }
  return first;
}

bool KeptState::GoesOnAs(size_t first, size_t group, const Partition& next, size_t as) const {
  const Partition::Group& old = partition_.groups()[group];
  if (old.spec.optimizer == nullptr) return false;
  const Optimizer& optimizer = *old.spec.optimizer;
  const bool together =
      first_step_[group] == first_step_[first] &&
      (optimizer.scalars().empty() || old.leader == partition_.groups()[first].leader);
  const Optimizer& wanted = *next.groups()[as].spec.optimizer;
  return together && HasNeededSlots(optimizer, wanted) && SameScalars(optimizer, wanted);
}

std::vector<size_t> KeptState::GroupsBefore(const KeptState& before) const {
  std::vector<size_t> result(partition_.groups().size(), kNone);
  for (const Partition::Scope& scope : partition_.scopes()) {
    const Optimizer& optimizer = *partition_.groups()[scope.leader].spec.optimizer;
    if (optimizer.scalars().empty()) {
      for (const size_t group : scope.groups) {
        const std::vector<size_t>& tensors = partition_.groups()[group].tensors;
        if (!tensors.empty()) result[group] = GroupBefore(before, tensors);
      }
      continue;
    }
    const size_t old = GroupBefore(before, scope.tensors);
    for (const size_t group : scope.groups) result[group] = old;
  }
  return result;
}

SlotVector KeptState::SlotVectorOf(size_t slot, const KeptState* before,
                                   const std::vector<size_t>& groups_before) const {
  SlotVector vector;
  vector.name = partition_.slots()[slot];
  for (size_t i = 0; i < partition_.tensors().size(); ++i) {
    const Partition::Tensor& tensor = partition_.tensors()[i];
    SlotVector::Section section = {
        tensor.begin, tensor.end, 0, true,
        before != nullptr && !before->partition_.HasSlot(i, vector.name)};
    if (partition_.Uses(i, slot)) {
      const Partition::Group& group = partition_.GroupOf(i);
      section.restarts =
          section.restarts || (before != nullptr && groups_before[tensor.group] == kNone);
      const auto at = std::find(group.slots.begin(), group.slots.end(), slot) - group.slots.begin();
      const SlotSpec& spec = group.spec.optimizer->slots()[static_cast<size_t>(at)];
      section.initial_value = spec.initial_value;
      section.starts_at_parameters = spec.starts_at_parameters;
    } else if (!partition_.Mirrors(slot)) {
      continue;
    } else if (before != nullptr && HasOfItsOwn(before->partition_.GroupOf(i), vector.name)) {
      section.restarts = true;  // It equals the parameters from now on.
    }
    const bool continues = !vector.sections.empty() &&
                           vector.sections.back().end == section.begin &&
                           SameStart(vector.sections.back(), section);
    if (continues) {
      vector.sections.back().end = section.end;
    } else {
      vector.sections.push_back(section);
    }
  }
  return vector;
}

SlotVectors KeptState::slots(const KeptState* before) const {
  std::vector<size_t> groups_before;
  if (before != nullptr) groups_before = GroupsBefore(*before);
  SlotVectors result;
  const std::vector<std::string>& names = partition_.slots();
  const auto average = std::find(names.begin(), names.end(), kAverageSlot);
  if (average != names.end()) result.average_slot = static_cast<int>(average - names.begin());
  result.training_slot = partition_.training_slot();
  for (size_t slot = 0; slot < names.size(); ++slot) {
    result.slots.push_back(SlotVectorOf(slot, before, groups_before));
  }
  return result;
}

void KeptState::Continue(const KeptState& before) {
  const std::vector<size_t> groups_before = GroupsBefore(before);
  for (size_t g = 0; g < groups_before.size(); ++g) {
    const Partition::Group& group = partition_.groups()[g];
    const size_t old = groups_before[g];
    first_step_[g] = old == kNone ? before.next_step_ : before.first_step_[old];
    if (old == kNone) continue;
    const Optimizer& optimizer = *group.spec.optimizer;
    if (!optimizer.scalars_per_tensor()) {
      scalars_[g] = before.scalars_[before.partition_.groups()[old].leader];
    }
    const size_t count = optimizer.scalars_per_tensor() ? optimizer.scalars().size() : 0;
    for (const size_t i : group.tensors) {
      const Partition::Tensor& tensor = partition_.tensors()[i];
      const Partition::Tensor& old_tensor = before.partition_.tensors()[i];
      for (size_t k = 0; k < count; ++k) {
        scalars_[g][tensor.in_group * count + k] =
            before.scalars_[old_tensor.group][old_tensor.in_group * count + k];
      }
      if (work_of(i) == kNone || before.work_of(i) == kNone) continue;
      works_[work_of(i)].work.Continue(before.works_[before.work_of(i)].work);
    }
  }
  next_step_ = before.next_step_;
}

template <typename Kept, typename Visit>
void KeptState::VisitState(Kept* kept, const Visit& visit) {
  const Partition& partition = kept->partition_;
  visit(
      kNextStep, 1, [kept](size_t /*i*/) -> auto& { return kept->next_step_; });
  for (const Partition::Scope& scope : partition.scopes()) {
    for (const size_t g : scope.groups) {
      if (partition.groups()[g].tensors.empty()) continue;
      visit(
          absl::StrCat("groups/", g, "/first_step"),
          1, [=](size_t /*i*/) -> auto& { return kept->first_step_[g]; });
    }
    const size_t leader = scope.leader;
    const Optimizer& optimizer = *partition.groups()[leader].spec.optimizer;
    const size_t count = optimizer.scalars().size();
    for (size_t k = 0; k < count; ++k) {
      const std::string name =
          absl::StrCat("groups/", leader, "/scalars/", optimizer.scalars()[k].name);
      if (optimizer.scalars_per_tensor()) {
        visit(
            name, scope.tensors.size(), [ =, &partition, &scope ](size_t i) -> auto& {
              const Partition::Tensor& tensor = partition.tensors()[scope.tensors[i]];
              return kept->scalars_[tensor.group][tensor.in_group * count + k];
            });
      } else {
        visit(
            name, 1, [=](size_t /*i*/) -> auto& { return kept->scalars_[leader][k]; });
      }
    }
  }
  for (auto& work : kept->works_) {
    for (auto& state : work.work.state()) {
      visit(
          absl::StrCat("tensors/", state.spec.name, "/", partition.tensors()[work.tensor].name),
          state.values.size(), [&state](size_t i) -> auto& { return state.values[i]; });
    }
  }
}

PlanState KeptState::state() const {
  PlanState state;
  VisitState(this, [&state](const std::string& name, size_t size, const auto& at) {
    VectorOf<decltype(at)> copy(size);
    for (size_t i = 0; i < size; ++i) copy[i] = at(i);
    state.emplace(name, std::move(copy));
  });
  return state;
}

absl::Status KeptState::Check(const PlanState& state) const {
  absl::Status status;
  std::set<std::string> known;
  VisitState(this, [&](const std::string& name, size_t size, const auto& at) {
    status.Update(CheckEntry<VectorOf<decltype(at)>>(state, name, size));
    known.insert(name);
  });
  GRADD_RETURN_IF_ERROR(status);
  const int64_t next_step = std::get<std::vector<int64_t>>(state.at(kNextStep)).front();
  if (next_step < 0) return StateError(kNextStep, absl::StrCat(next_step, " is below 0"));
  for (const auto& [name, values] : state) {
    if (known.count(name) == 0) return StateError(name, "not known");
    const auto* const steps = std::get_if<std::vector<int64_t>>(&values);
    if (steps != nullptr && steps->front() > next_step) {
      return StateError(name, absl::StrCat(steps->front(), " is after next_step"));
    }
  }
  return absl::OkStatus();
}

absl::Status KeptState::Restore(const PlanState& state) {
  GRADD_RETURN_IF_ERROR(Check(state));
  VisitState(this, [&state](const std::string& name, size_t size, const auto& at) {
    const auto& saved = std::get<VectorOf<decltype(at)>>(state.at(name));
    for (size_t i = 0; i < size; ++i) at(i) = saved[i];
  });
  for (const Partition::Scope& scope : partition_.scopes()) {
    // A leader without tensors, which the state does not name, counts as those that it leads.
    const size_t any = partition_.tensors()[scope.tensors.front()].group;
    if (partition_.groups()[scope.leader].tensors.empty()) {
      first_step_[scope.leader] = first_step_[any];
    }
  }
  AgreeOnScalars();
  return absl::OkStatus();
}

bool KeptState::IsFinite() const {
  bool finite = true;
  VisitState(this, [&finite](const std::string& /*name*/, size_t size, const auto& at) {
    for (size_t i = 0; i < size; ++i) finite = finite && std::isfinite(static_cast<double>(at(i)));
  });
  return finite;
}

void KeptState::CountFromZero() {
  for (int64_t& step : first_step_) step -= next_step_;
  next_step_ = 0;
}

}  // namespace gradd

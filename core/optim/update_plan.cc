#include "core/optim/update_plan.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <set>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/error.h"
#include "core/base/norms.h"

namespace gradd {
namespace {

constexpr size_t kMaxSlots = 8;  // Of one optimizer.
constexpr char kNextStep[] = "next_step";

bool SameKept(const Optimizer& a, const Optimizer& b) {
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

bool SameStart(const SlotVector::Section& a, const SlotVector::Section& b) {
  return a.initial_value == b.initial_value && a.starts_at_parameters == b.starts_at_parameters &&
         a.restarts == b.restarts;
}

void CopyElements(const float* from, float* to, int64_t size) {
  if (from != to) std::memcpy(to, from, static_cast<size_t>(size) * sizeof(float));
}

// Of what `Pointer` points to.
template <typename Pointer>
using VectorOf = std::vector<std::remove_const_t<std::remove_pointer_t<Pointer>>>;

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

absl::StatusOr<std::unique_ptr<UpdatePlan>> UpdatePlan::Create(
    const Layout& layout, const v1::Optimizer& optimizer,
    const google::protobuf::RepeatedPtrField<v1::ParameterGroup>& groups, int64_t block_elements,
    int threads) {
  auto made = MakeParameterGroups(layout, optimizer, groups);
  GRADD_RETURN_IF_ERROR(made.status());
  return std::unique_ptr<UpdatePlan>(
      new UpdatePlan(layout, *std::move(made), block_elements, threads));
}

UpdatePlan::UpdatePlan(const Layout& layout, ParameterGroups groups, int64_t block_elements,
                       int threads)
    : block_elements_(block_elements),
      elements_(layout.element_count()),
      group_of_tensor_(std::move(groups.of_tensor)) {
  groups_.resize(groups.groups.size());
  for (size_t g = 0; g < groups_.size(); ++g) groups_[g].spec = std::move(groups.groups[g]);
  for (const size_t group : group_of_tensor_) {
    tensor_in_group_.push_back(groups_[group].tensors++);
  }
  CutPieces(layout, block_elements);
  CollectSlots();
  CollectTransforms(layout, threads);
  for (Group& group : groups_) {
    if (group.spec.optimizer == nullptr) continue;
    const Optimizer& optimizer = *group.spec.optimizer;
    for (size_t i = 0; i < (optimizer.scalars_per_tensor() ? group.tensors : 1); ++i) {
      for (const ScalarSpec& spec : optimizer.scalars()) group.kept.push_back(spec.initial_value);
    }
    group.clip_factor.assign(group.tensors, 1);
    if (group.tensors == 0) continue;
    if (optimizer.sums() > 0) rule_passes_ = 1;
    if (group.clips_tiles() && group.spec.clip.by_norm()) clip_passes_ = 1;
    group.sums.resize(group.tensors * static_cast<size_t>(std::max(optimizer.sums(), 1)));
    most_sums_ = std::max(most_sums_, static_cast<size_t>(optimizer.sums()));
  }
  most_sums_ = std::max(most_sums_, static_cast<size_t>(clip_passes_));
  piece_sums_.resize(pieces_.size() * most_sums_);
  piece_norms_.resize(pieces_.size());
}

void UpdatePlan::CutPieces(const Layout& layout, int64_t block_elements) {
  int64_t begin = 0;
  for (int tensor = 0; tensor < layout.message().tensors_size(); ++tensor) {
    tensor_begin_.push_back(begin);
    const int64_t end = begin + ElementCount(layout.message().tensors(tensor));
    while (begin < end) {
      if (begin == static_cast<int64_t>(first_piece_.size()) * block_elements) {
        first_piece_.push_back(pieces_.size());
      }
      const int64_t tile_end = (begin / kTileElements + 1) * kTileElements;
      const int64_t piece_end = std::min(end, tile_end);
      pieces_.push_back(
          {begin, static_cast<int32_t>(piece_end - begin), static_cast<uint32_t>(tensor)});
      begin = piece_end;
    }
  }
  tensor_begin_.push_back(begin);
  first_piece_.push_back(pieces_.size());
}

void UpdatePlan::CollectSlots() {
  const auto index_of = [this](const SlotSpec& spec) {
    const auto at = std::find(slots_.begin(), slots_.end(), spec.name) - slots_.begin();
    if (at == static_cast<int64_t>(slots_.size())) slots_.push_back(spec.name);
    return static_cast<size_t>(at);
  };
  for (Group& group : groups_) {
    if (!group.updates()) continue;
    const Optimizer& optimizer = *group.spec.optimizer;
    for (const SlotSpec& spec : optimizer.slots()) group.slots.push_back(index_of(spec));
    if (optimizer.training_slot() >= 0) {
      training_slot_ =
          static_cast<int>(group.slots[static_cast<size_t>(optimizer.training_slot())]);
    }
  }
}

void UpdatePlan::CollectTransforms(const Layout& layout, int threads) {
  work_of_tensor_.assign(group_of_tensor_.size(), kNone);
  int64_t scratch_bytes = 0;
  for (Group& group : groups_) {
    if (!group.updates()) continue;
    group.transforms = !group.spec.optimizer->transforms().empty();
  }
  for (size_t tensor = 0; tensor < group_of_tensor_.size(); ++tensor) {
    const ParameterGroup& group = groups_[group_of_tensor_[tensor]].spec;
    std::vector<const TensorTransform*> stages;
    for (const auto& stage : group.stages) stages.push_back(stage.get());
    std::vector<const TensorTransform*> transforms;
    if (group.optimizer != nullptr) transforms = group.optimizer->transforms();
    if (stages.empty() && transforms.empty()) continue;
    const v1::Tensor& message = layout.message().tensors(static_cast<int>(tensor));
    work_of_tensor_[tensor] = works_.size();
    works_.push_back({tensor, message.name(),
                      TensorWork({{message.shape().begin(), message.shape().end()}}, stages,
                                 group.clip, transforms)});
    const TensorWork& work = works_.back().work;
    scratch_bytes = std::max(scratch_bytes, work.scratch_bytes());
    transform_passes_ = std::max(transform_passes_, work.waits_for_factor() ? 2 : 1);
  }
  if (works_.empty()) return;
  scratch_ = std::make_unique<ScratchPool>(std::min<int64_t>(threads, transformed_tensors()),
                                           scratch_bytes);
}

bool UpdatePlan::Uses(size_t tensor, size_t slot) const {
  const std::vector<size_t>& slots = groups_[group_of_tensor_[tensor]].slots;
  return std::find(slots.begin(), slots.end(), slot) != slots.end();
}

bool UpdatePlan::HasSlot(size_t tensor, const std::string& name) const {
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    if (slots_[slot] != name) continue;
    return Mirrors(slot) || Uses(tensor, slot);
  }
  return false;
}

SlotVector UpdatePlan::SlotVectorOf(size_t slot, const UpdatePlan* before) const {
  SlotVector vector;
  vector.name = slots_[slot];
  std::vector<bool> goes_on;
  for (size_t g = 0; g < groups_.size() && before != nullptr; ++g) {
    goes_on.push_back(before->GroupLike(*this, g) != nullptr);
  }
  for (size_t tensor = 0; tensor < group_of_tensor_.size(); ++tensor) {
    const Group& group = groups_[group_of_tensor_[tensor]];
    SlotVector::Section section = {tensor_begin_[tensor], tensor_begin_[tensor + 1], 0, true,
                                   before != nullptr && !before->HasSlot(tensor, slots_[slot])};
    if (Uses(tensor, slot)) {
      section.restarts =
          section.restarts || (before != nullptr && !goes_on[group_of_tensor_[tensor]]);
      const auto at = std::find(group.slots.begin(), group.slots.end(), slot) - group.slots.begin();
      const SlotSpec& spec = group.spec.optimizer->slots()[static_cast<size_t>(at)];
      section.initial_value = spec.initial_value;
      section.starts_at_parameters = spec.starts_at_parameters;
    } else if (!Mirrors(slot)) {
      continue;
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

bool UpdatePlan::Mirrors(size_t slot) const {
  return static_cast<int>(slot) == training_slot_ || slots_[slot] == kAverageSlot;
}

SlotVectors UpdatePlan::slots(const UpdatePlan* before) const {
  SlotVectors result;
  const auto average = std::find(slots_.begin(), slots_.end(), kAverageSlot);
  if (average != slots_.end()) {
    result.average_slot = static_cast<int>(average - slots_.begin());
  }
  result.training_slot = training_slot_;
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    result.slots.push_back(SlotVectorOf(slot, before));
  }
  return result;
}

void UpdatePlan::Allocate() {
  for (Work& work : works_) work.work.Allocate();
  if (scratch_ != nullptr) scratch_->Allocate();
}

int64_t UpdatePlan::transformed_begin(int64_t index) const {
  return tensor_begin_[works_[static_cast<size_t>(index)].tensor];
}

void UpdatePlan::TransformTensor(int64_t index, GradientReader* gradient,
                                 GradientReader* parameters) {
  Work& work = works_[static_cast<size_t>(index)];
  const bool again = transform_pass_ > 0;
  if (again && !work.work.waits_for_factor()) return;
  const ScratchPool::Loan loan(scratch_.get());
  const TensorWork::Room room(work.work, loan.memory());
  const int64_t size = tensor_begin_[work.tensor + 1] - tensor_begin_[work.tensor];
  const auto read = [size](GradientReader* from, float* to) {
    for (int64_t at = 0; at < size; at += kTileElements) {
      const int64_t count = std::min(kTileElements, size - at);
      std::memcpy(to + at, from->Next(count), static_cast<size_t>(count) * sizeof(float));
    }
  };
  if (work.work.needs_parameters()) read(parameters, room.parameters);
  const Group& group = groups_[group_of_tensor_[work.tensor]];
  if (again) {
    work.work.Finish(group.input, group.clip_factor[tensor_in_group_[work.tensor]], room);
  } else {
    read(gradient, room.gradient);
    work.work.Transform(group.input, room);
  }
}

void UpdatePlan::EndTransforms() {
  if (++transform_pass_ == transform_passes_) return;
  for (const Work& work : works_) {
    Group& group = groups_[group_of_tensor_[work.tensor]];
    if (work.work.waits_for_factor()) {
      group.sums[tensor_in_group_[work.tensor]] = work.work.squared_norm();
    }
  }
  for (Group& group : groups_) {
    if (group.transforms && group.spec.clip.by_norm()) SetClipFactors(group.sums.data(), &group);
  }
}

bool UpdatePlan::follows_momentum() const {
  return std::all_of(groups_.begin(), groups_.end(), [](const Group& group) {
    return !group.updates() || group.spec.optimizer->follows_momentum();
  });
}

int64_t UpdatePlan::slot_bytes() const {
  int64_t elements = 0;
  for (const SlotVector& slot : slots(nullptr).slots) {
    for (int64_t begin = 0; begin < elements_; begin += block_elements_) {
      const int64_t end = std::min(begin + block_elements_, elements_);
      if (slot.Meets(begin, end)) elements += end - begin;
    }
  }
  return elements * static_cast<int64_t>(sizeof(float));
}

int64_t UpdatePlan::kept_bytes() const {
  int64_t bytes = 0;
  for (const Work& work : works_) bytes += work.work.bytes();
  return bytes;
}

bool UpdatePlan::TransformsContinue(const UpdatePlan& before, size_t group) const {
  return std::all_of(works_.begin(), works_.end(), [&](const Work& work) {
    if (group_of_tensor_[work.tensor] != group) return true;
    const size_t old = before.work_of_tensor_[work.tensor];
    return old == kNone ? work.work.state().empty()
                        : work.work.ContinuesAll(before.works_[old].work);
  });
}

void UpdatePlan::Continue(const UpdatePlan& before) {
  for (size_t g = 0; g < groups_.size(); ++g) {
    Group& group = groups_[g];
    group.first_step = before.next_step_;
    const Group* const old = before.GroupLike(*this, g);
    if (old == nullptr) continue;
    group.kept = old->kept;
    group.first_step = old->first_step;
  }
  for (Work& work : works_) {
    const size_t old = before.work_of_tensor_[work.tensor];
    if (old == kNone || before.GroupLike(*this, group_of_tensor_[work.tensor]) == nullptr) continue;
    work.work.Continue(before.works_[old].work);
  }
  next_step_ = before.next_step_;
}

const UpdatePlan::Group* UpdatePlan::GroupLike(const UpdatePlan& other, size_t group) const {
  const Group& wanted = other.groups_[group];
  if (!wanted.updates()) return nullptr;
  const Group* found = nullptr;
  for (size_t tensor = 0; tensor < group_of_tensor_.size(); ++tensor) {
    if (other.group_of_tensor_[tensor] != group) continue;
    const Group* const here = &groups_[group_of_tensor_[tensor]];
    if (found != nullptr && here != found) return nullptr;
    found = here;
  }
  if (found->spec.optimizer == nullptr) return nullptr;
  const bool same_kept = SameKept(*found->spec.optimizer, *wanted.spec.optimizer);
  const bool same_tensors =
      found->tensors == wanted.tensors || !wanted.spec.optimizer->scalars_per_tensor();
  const bool goes_on = HasNeededSlots(*found->spec.optimizer, *wanted.spec.optimizer) &&
                       same_kept && same_tensors && other.TransformsContinue(*this, group);
  return goes_on ? found : nullptr;
}

template <typename Plan, typename Visit>
void UpdatePlan::VisitState(Plan* plan, const Visit& visit) {
  visit(kNextStep, &plan->next_step_, 1, 1);
  for (size_t g = 0; g < plan->groups_.size(); ++g) {
    auto& group = plan->groups_[g];
    if (!group.updates()) continue;
    const std::string path = absl::StrCat("groups/", g);
    visit(absl::StrCat(path, "/first_step"), &group.first_step, 1, 1);
    const std::vector<ScalarSpec>& scalars = group.spec.optimizer->scalars();
    for (size_t i = 0; i < scalars.size(); ++i) {
      visit(absl::StrCat(path, "/scalars/", scalars[i].name), &group.kept[i],
            group.kept.size() / scalars.size(), scalars.size());
    }
  }
  for (auto& work : plan->works_) {
    for (auto& state : work.work.state()) {
      visit(absl::StrCat("tensors/", state.spec.name, "/", work.tensor_name), state.values.data(),
            state.values.size(), 1);
    }
  }
}

int64_t UpdatePlan::copied_bytes() const {
  int64_t elements = 0;
  for (const Work& work : works_) {
    for (const TensorWork::State& state : work.work.state()) elements += state.spec.length;
  }
  return elements * static_cast<int64_t>(sizeof(float));
}

PlanState UpdatePlan::state() const {
  PlanState state;
  VisitState(this,
             [&state](const std::string& name, const auto* values, size_t size, size_t stride) {
               VectorOf<decltype(values)> copy(size);
               for (size_t i = 0; i < size; ++i) copy[i] = values[i * stride];
               state.emplace(name, std::move(copy));
             });
  return state;
}

absl::Status UpdatePlan::CheckState(const PlanState& state) const {
  absl::Status status;
  std::set<std::string> known;
  VisitState(this,
             [&](const std::string& name, const auto* values, size_t size, size_t /*stride*/) {
               status.Update(CheckEntry<VectorOf<decltype(values)>>(state, name, size));
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

absl::Status UpdatePlan::Restore(const PlanState& state) {
  GRADD_RETURN_IF_ERROR(CheckState(state));
  VisitState(this, [&state](const std::string& name, auto* values, size_t size, size_t stride) {
    const auto& saved = std::get<VectorOf<decltype(values)>>(state.at(name));
    for (size_t i = 0; i < size; ++i) values[i * stride] = saved[i];
  });
  parameters_measured_ = false;
  return absl::OkStatus();
}

bool UpdatePlan::StateIsFinite() const {
  bool finite = true;
  VisitState(
      this, [&finite](const std::string& /*name*/, const auto* values, size_t size, size_t stride) {
        for (size_t i = 0; i < size; ++i) {
          finite = finite && std::isfinite(static_cast<double>(values[i * stride]));
        }
      });
  return finite;
}

double UpdatePlan::largest_rate_factor() const {
  double largest = 0;
  for (const Group& group : groups_) {
    if (group.updates()) largest = std::max(largest, group.spec.learning_rate_factor);
  }
  return largest;
}

void UpdatePlan::CountFromZero() {
  for (Group& group : groups_) group.first_step -= next_step_;
  next_step_ = 0;
}

void UpdatePlan::BeginStep(const StepInput& input, bool by_spans) {
  by_spans_ = by_spans;
  if (by_spans) {
    span_norms_.resize(pieces_.size());
    span_blocks_.assign(first_piece_.size() - 1, 0);
  }
  for (Group& group : groups_) {
    if (!group.updates()) continue;
    group.input = input;
    group.input.step = input.step - group.first_step;
    const double rate = group.spec.warms_up
                            ? input.learning_rate
                            : input.rate_without_warm_up.value_or(input.learning_rate);
    group.input.learning_rate = rate * group.spec.learning_rate_factor;
    group.spec.optimizer->BeginStep(group.input, absl::MakeSpan(group.kept));
  }
  pass_ = 0;
  transform_pass_ = 0;
  next_step_ = input.step + 1;
}

// A tile with the gradient that its optimizer gets to see.
struct UpdatePlan::Clipped {
  Clipped(const Group& group, const Tile& given) : tile(given) {
    if (!group.clips_tiles()) return;
    group.spec.clip.Apply(group.clip_factor[given.tensor], given.gradient, given.size, gradient);
    tile.gradient = gradient;
  }
  Tile tile;
  alignas(64) float gradient[kTileElements];
};

// A tile of a block, with the pointers that it points to.
class UpdatePlan::BlockTile {
 public:
  // Elements from `begin` on, of one piece.
  BlockTile(const UpdatePlan& plan, size_t piece, const ParameterStore::BlockUpdate& block,
            int64_t begin, int64_t size, const UnalignedFloat* raw) {
    const size_t tensor = plan.pieces_[piece].tensor;
    const int64_t at = begin - block.begin;
    const std::vector<size_t>& slots = plan.GroupOf(piece).slots;
    for (size_t k = 0; k < slots.size(); ++k) {
      slots_in_[k] = block.slots_in[slots[k]] + at;
      if (!block.slots_out.empty()) slots_out_[k] = block.slots_out[slots[k]] + at;
    }
    tile_.begin = begin;
    tile_.size = size;
    tile_.tensor = plan.tensor_in_group_[tensor];
    const size_t work = plan.work_of_tensor_[tensor];
    tile_.gradient = work == kNone
                         ? raw
                         : plan.works_[work].work.result() + (begin - plan.tensor_begin_[tensor]);
    tile_.parameters_in = block.parameters_in + at;
    tile_.parameters_out = block.parameters_out == nullptr ? nullptr : block.parameters_out + at;
    tile_.slots_in = slots_in_.data();
    tile_.slots_out = slots_out_.data();
  }
  BlockTile(const BlockTile&) = delete;
  BlockTile& operator=(const BlockTile&) = delete;

  const Tile& tile() const { return tile_; }

 private:
  Tile tile_;
  std::array<const float*, kMaxSlots> slots_in_ = {};
  std::array<float*, kMaxSlots> slots_out_ = {};
};

// The tiles of one block, one after the other.
template <typename Visit>
void UpdatePlan::ForEachPiece(const ParameterStore::BlockUpdate& block, GradientReader* gradient,
                              const Visit& visit) const {
  const auto index = static_cast<size_t>(block.begin / block_elements_);
  for (size_t i = first_piece_[index]; i < first_piece_[index + 1]; ++i) {
    const UnalignedFloat* const raw = gradient->Next(pieces_[i].size);
    visit(i, BlockTile(*this, i, block, pieces_[i].begin, pieces_[i].size, raw).tile(), raw);
  }
}

// Those of which there is a gradient.
template <typename Visit>
void UpdatePlan::ForEachSpan(const ParameterStore::BlockUpdate& block, SpanReader* gradient,
                             const Visit& visit) const {
  const auto index = static_cast<size_t>(block.begin / block_elements_);
  const int64_t end = block.begin + block.size;
  size_t piece = first_piece_[index];
  for (int64_t begin = gradient->Seek(end); begin < end; begin = gradient->Seek(end)) {
    const auto piece_end = [this](size_t i) { return pieces_[i].begin + pieces_[i].size; };
    if (begin >= piece_end(piece)) {
      const auto after = std::upper_bound(
          pieces_.begin() + static_cast<int64_t>(piece),
          pieces_.begin() + static_cast<int64_t>(first_piece_[index + 1]), begin,
          [](int64_t element, const Piece& other) { return element < other.begin; });
      piece = static_cast<size_t>(after - pieces_.begin()) - 1;
    }
    const SpanReader::Span span = gradient->Next(piece_end(piece));
    visit(piece, BlockTile(*this, piece, block, begin, span.size, span.values).tile(), span.values);
  }
}

size_t UpdatePlan::SumsOf(const Group& group) const {
  if (group.spec.optimizer == nullptr) return 0;
  if (pass_ < clip_passes_) return group.clips_tiles() && group.spec.clip.by_norm() ? 1 : 0;
  return static_cast<size_t>(group.spec.optimizer->sums());
}

bool UpdatePlan::NeedsSums(int64_t block_begin) const {
  const auto block = static_cast<size_t>(block_begin / block_elements_);
  return std::any_of(
      pieces_.begin() + static_cast<int64_t>(first_piece_[block]),
      pieces_.begin() + static_cast<int64_t>(first_piece_[block + 1]),
      [this](const Piece& piece) { return SumsOf(groups_[group_of_tensor_[piece.tensor]]) > 0; });
}

void UpdatePlan::SumTile(size_t piece, const Tile& tile) {
  const Group& group = GroupOf(piece);
  if (SumsOf(group) == 0) return;
  double* const sums = &piece_sums_[piece * most_sums_];
  if (pass_ < clip_passes_) {
    *sums += group.spec.clip.SquaredNorm(tile.gradient, tile.size);
  } else {
    const Clipped clipped(group, tile);
    group.spec.optimizer->SumTile(clipped.tile, sums);
  }
}

void UpdatePlan::SumBlock(const ParameterStore::BlockUpdate& block, GradientReader* gradient) {
  if (!NeedsSums(block.begin)) return;
  ForEachPiece(block, gradient, [this](size_t piece, const Tile& tile, const UnalignedFloat*) {
    SumTile(piece, tile);
  });
}

void UpdatePlan::SumSpans(const ParameterStore::BlockUpdate& block, SpanReader* gradient) {
  if (!NeedsSums(block.begin)) return;
  ForEachSpan(block, gradient, [this](size_t piece, const Tile& tile, const UnalignedFloat*) {
    SumTile(piece, tile);
  });
}

void UpdatePlan::EndSums() {
  for (Group& group : groups_) std::fill(group.sums.begin(), group.sums.end(), 0);
  for (size_t i = 0; i < pieces_.size(); ++i) {
    const size_t tensor = pieces_[i].tensor;
    Group& group = groups_[group_of_tensor_[tensor]];
    const size_t count = SumsOf(group);
    for (size_t k = 0; k < count; ++k) {
      group.sums[tensor_in_group_[tensor] * count + k] += piece_sums_[i * most_sums_ + k];
    }
  }
  for (Group& group : groups_) {
    const size_t count = group.tensors * SumsOf(group);
    if (count == 0) continue;
    if (pass_ < clip_passes_) {
      SetClipFactors(group.sums.data(), &group);
    } else {
      group.spec.optimizer->EndSums({group.sums.data(), count}, absl::MakeSpan(group.kept));
    }
  }
  std::fill(piece_sums_.begin(), piece_sums_.end(), 0);
  ++pass_;
}

void UpdatePlan::SetClipFactors(const double* squares, Group* group) {
  const GradientClip& clip = group->spec.clip;
  const auto of_tensor = [&](size_t i) {
    return ClipFactor(clip.tensor_norm, std::sqrt(squares[i]));
  };
  double all = 0;
  for (size_t i = 0; i < group->tensors; ++i) all += of_tensor(i) * of_tensor(i) * squares[i];
  const double of_all = ClipFactor(clip.global_norm, std::sqrt(all));
  for (size_t i = 0; i < group->tensors; ++i) {
    group->clip_factor[i] = static_cast<float>(of_tensor(i) * of_all);
  }
}

void UpdatePlan::UpdateTile(const ParameterStore::BlockUpdate& block, size_t piece,
                            const Tile& tile, const UnalignedFloat* raw, TileNorms* norms) const {
  const Group& group = GroupOf(piece);
  *norms = {};
  if (group.spec.optimizer == nullptr) {
    CopyElements(tile.parameters_in, tile.parameters_out, tile.size);
  } else {
    const Clipped clipped(group, tile);
    group.spec.optimizer->UpdateTile(clipped.tile, norms);
    if (clipped.tile.gradient != raw) norms->gradient = LongSquaredNorm(raw, tile.size);
  }
  CopyOtherSlots(group, block, tile);
}

void UpdatePlan::UpdateBlock(const ParameterStore::BlockUpdate& block, GradientReader* gradient,
                             EncodedBlocks* encoded) {
  ForEachPiece(block, gradient, [&](size_t piece, const Tile& tile, const UnalignedFloat* raw) {
    UpdateTile(block, piece, tile, raw, &piece_norms_[piece]);
    if (encoded != nullptr) encoded->UpTo(tile.begin + tile.size - block.begin);
  });
}

bool UpdatePlan::IsLazy(int64_t element) const {
  const auto next = std::upper_bound(tensor_begin_.begin(), tensor_begin_.end(), element);
  const auto tensor = static_cast<size_t>(next - tensor_begin_.begin()) - 1;
  const Optimizer* const optimizer = groups_[group_of_tensor_[tensor]].spec.optimizer.get();
  return optimizer == nullptr || (optimizer->lazy() && work_of_tensor_[tensor] == kNone);
}

void UpdatePlan::MeasureBlock(const ParameterStore::BlockUpdate& block) {
  const auto index = static_cast<size_t>(block.begin / block_elements_);
  for (size_t i = first_piece_[index]; i < first_piece_[index + 1]; ++i) {
    piece_norms_[i] = {};
    if (GroupOf(i).spec.optimizer == nullptr) continue;
    const float* const values = block.parameters_in + (pieces_[i].begin - block.begin);
    piece_norms_[i].parameters = LongSquaredNorm(values, pieces_[i].size);
  }
}

void UpdatePlan::UpdateSpans(const ParameterStore::BlockUpdate& block, SpanReader* gradient) {
  // By piece, so that the sums do not depend on the blocks.
  const auto index = static_cast<size_t>(block.begin / block_elements_);
  span_blocks_[index] = 1;
  std::fill(span_norms_.begin() + static_cast<int64_t>(first_piece_[index]),
            span_norms_.begin() + static_cast<int64_t>(first_piece_[index + 1]), TileNorms());
  ForEachSpan(block, gradient, [&](size_t piece, const Tile& tile, const UnalignedFloat* raw) {
    TileNorms norms;
    const double before = LongSquaredNorm(tile.parameters_in, tile.size);
    UpdateTile(block, piece, tile, raw, &norms);
    if (GroupOf(piece).spec.optimizer == nullptr) return;
    norms.parameters -= before;
    span_norms_[piece] += norms;
  });
}

void UpdatePlan::CopyOtherSlots(const Group& group, const ParameterStore::BlockUpdate& block,
                                const Tile& tile) const {
  if (group.slots.size() == slots_.size()) return;
  const int64_t at = tile.begin - block.begin;
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    if (block.slots_in[slot] == nullptr ||
        std::find(group.slots.begin(), group.slots.end(), slot) != group.slots.end()) {
      continue;
    }
    const float* const from = Mirrors(slot) ? tile.parameters_out : block.slots_in[slot] + at;
    CopyElements(from, block.slots_out[slot] + at, tile.size);
  }
}

TileNorms UpdatePlan::EndStep() {
  const auto add = [](const std::vector<TileNorms>& all, size_t begin, size_t end, TileNorms* sum) {
    for (size_t i = begin; i < end; ++i) *sum += all[i];
  };
  TileNorms sum;
  if (by_spans_) {
    if (!parameters_measured_) {
      TileNorms measured;
      add(piece_norms_, 0, pieces_.size(), &measured);
      parameters_squared_ = measured.parameters;
    }
    for (size_t block = 0; block < span_blocks_.size(); ++block) {
      if (span_blocks_[block] == 0) continue;
      add(span_norms_, first_piece_[block], first_piece_[block + 1], &sum);
    }
    sum.parameters += parameters_squared_;
    // What is left of a much larger number is mostly its roundings: it is taken anew next time.
    constexpr double kMuch = 1e-3;
    parameters_measured_ =
        std::isfinite(sum.parameters) && sum.parameters >= kMuch * parameters_squared_;
    if (sum.parameters < 0) sum.parameters = 0;
  } else {
    add(piece_norms_, 0, pieces_.size(), &sum);
    parameters_measured_ = std::isfinite(sum.parameters);
  }
  parameters_squared_ = sum.parameters;
  return sum;
}

}  // namespace gradd

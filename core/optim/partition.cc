#include "core/optim/partition.h"

#include <algorithm>
#include <utility>

#include "core/store/slot.h"

namespace gradd {

Partition::Partition(const Layout& layout, ParameterGroups groups, int64_t block_elements)
    : block_elements_(block_elements) {
  TakeGroups(layout, std::move(groups));
  CutPieces();
  CollectSlots();
  scopes_ = CollectScopes(&Group::leader);
  norm_scopes_ = CollectScopes(&Group::norm_leader);
  OrderNorms();
}

void Partition::TakeGroups(const Layout& layout, ParameterGroups groups) {
  groups_.resize(groups.groups.size());
  for (size_t g = 0; g < groups_.size(); ++g) {
    groups_[g].spec = std::move(groups.groups[g]);
    const size_t by_default = groups_.size() - 1;
    groups_[g].leader = groups_[g].spec.shares_sums ? by_default : g;
    groups_[g].norm_leader = groups_[g].spec.shares_norm ? by_default : g;
  }
  int64_t begin = 0;
  for (size_t i = 0; i < groups.of_tensor.size(); ++i) {
    const v1::Tensor& message = layout.message().tensors(static_cast<int>(i));
    Group& group = groups_[groups.of_tensor[i]];
    const int64_t end = begin + ElementCount(message);
    tensors_.push_back({message.name(),
                        {{message.shape().begin(), message.shape().end()}},
                        begin,
                        end,
                        groups.of_tensor[i],
                        group.tensors.size()});
    group.tensors.push_back(i);
    begin = end;
  }
  for (Group& group : groups_) {
    group.transforms = group.updates() && !group.spec.optimizer->transforms().empty();
  }
}

void Partition::CutPieces() {
  for (size_t i = 0; i < tensors_.size(); ++i) {
    int64_t begin = tensors_[i].begin;
    while (begin < tensors_[i].end) {
      if (begin == static_cast<int64_t>(first_piece_.size()) * block_elements_) {
        first_piece_.push_back(pieces_.size());
      }
      const int64_t tile_end = (begin / kTileElements + 1) * kTileElements;
      const int64_t end = std::min(tensors_[i].end, tile_end);
      pieces_.push_back({begin, static_cast<int32_t>(end - begin), static_cast<uint32_t>(i)});
      begin = end;
    }
  }
  first_piece_.push_back(pieces_.size());
}

void Partition::CollectSlots() {
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

std::vector<Partition::Scope> Partition::CollectScopes(size_t Group::*leader_of) const {
  std::vector<Scope> scopes;
  for (size_t leader = 0; leader < groups_.size(); ++leader) {
    if (groups_[leader].spec.optimizer == nullptr) continue;
    Scope scope = {leader, {}, {}, 0};
    for (size_t g = 0; g < groups_.size(); ++g) {
      const Group& group = groups_[g];
      if (group.*leader_of != leader) continue;
      scope.groups.push_back(g);
      scope.tensors.insert(scope.tensors.end(), group.tensors.begin(), group.tensors.end());
      if (group.tensors.empty()) continue;
      scope.largest_factor = std::max(scope.largest_factor, group.spec.learning_rate_factor);
    }
    if (scope.tensors.empty()) continue;
    std::sort(scope.tensors.begin(), scope.tensors.end());
    scopes.push_back(std::move(scope));
  }
  return scopes;
}

void Partition::OrderNorms() {
  for (const Scope& scope : norm_scopes_) {
    const bool first = std::any_of(scope.groups.begin(), scope.groups.end(), [this](size_t g) {
      return groups_[g].transforms && groups_[g].spec.clip.by_norm();
    });
    for (const size_t g : scope.groups) {
      groups_[g].norm_comes_first = first && groups_[g].spec.clip.by_norm();
    }
  }
}

size_t Partition::TensorAt(int64_t element) const {
  const auto after =
      std::upper_bound(tensors_.begin(), tensors_.end(), element,
                       [](int64_t wanted, const Tensor& tensor) { return wanted < tensor.end; });
  return static_cast<size_t>(after - tensors_.begin());
}

bool Partition::Uses(size_t tensor, size_t slot) const {
  const std::vector<size_t>& slots = GroupOf(tensor).slots;
  return std::find(slots.begin(), slots.end(), slot) != slots.end();
}

bool Partition::Mirrors(size_t slot) const {
  return static_cast<int>(slot) == training_slot_ || slots_[slot] == kAverageSlot;
}

bool Partition::HasSlot(size_t tensor, const std::string& name) const {
  const auto found = std::find(slots_.begin(), slots_.end(), name);
  if (found == slots_.end()) return false;
  const auto slot = static_cast<size_t>(found - slots_.begin());
  return Mirrors(slot) || Uses(tensor, slot);
}

bool Partition::follows_momentum() const {
  return std::all_of(groups_.begin(), groups_.end(), [](const Group& group) {
    return !group.updates() || group.spec.optimizer->follows_momentum();
  });
}

double Partition::largest_rate_factor() const {
  double largest = 0;
  for (const Group& group : groups_) {
    if (group.updates()) largest = std::max(largest, group.spec.learning_rate_factor);
  }
  return largest;
}

}  // namespace gradd

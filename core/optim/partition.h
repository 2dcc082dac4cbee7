#ifndef GRADD_CORE_OPTIM_PARTITION_H_
#define GRADD_CORE_OPTIM_PARTITION_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/optim/parameter_groups.h"
#include "core/optim/tensor_transform.h"
#include "core/store/layout.h"

namespace gradd {

// How a run's flat vector is cut, and what belongs to whom: elements to pieces, pieces to tensors,
// tensors to parameter groups, groups to scopes. It is fixed as long as the run's optimizer and
// groups are; what changes from step to step is in KeptState and TileLoop.
//
// Thread safe: nothing changes, apart from the optimizers in the groups, which belong to TileLoop.
class Partition {
 public:
  // A tensor of the layout.
  struct Tensor {
    std::string name;
    TensorShape shape;
    int64_t begin;  // Its elements in the flat vector: from here
    int64_t end;    // up to here.
    size_t group;
    size_t in_group;  // Which of the group's tensors it is, counted from 0.
  };

  // Elements of one tensor within one tile. Whatever is summed is summed by piece first, so that
  // results depend neither on blocks nor on threads. Blocks consist of whole pieces.
  struct Piece {
    int64_t end() const { return begin + size; }

    int64_t begin;
    int32_t size;
    uint32_t tensor;
  };

  // Tensors that are updated in the same way.
  struct Group {
    bool updates() const { return spec.optimizer != nullptr && !tensors.empty(); }
    // Whether tiles are to be bounded; tensors that are transformed have been so before.
    bool clips_tiles() const { return spec.clip.any() && !transforms; }

    ParameterGroup spec;
    std::vector<size_t> tensors;  // In the layout's order.
    std::vector<size_t> slots;    // Where its optimizer's slots are among slots().
    bool transforms = false;      // Its optimizer has transforms.
    size_t leader = 0;            // Of its scope; itself, if it is alone there.
    size_t norm_leader = 0;       // The same for norm_scopes().
    // Whether its tensors are bounded by a norm that has to be known before tensors are
    // transformed, because a group of its norm scope has transforms. Otherwise tiles are summed.
    bool norm_comes_first = false;
  };

  // Groups that are trained together: those that share with the default group, which leads them, or
  // one group alone.
  struct Scope {
    size_t leader;
    std::vector<size_t> groups;   // Ascending. The leader is one of them, with tensors or without.
    std::vector<size_t> tensors;  // Of all of them, in the layout's order; at least one.
    double largest_factor;        // Of the learning rates of those that have tensors.
  };

  // `block_elements` is a multiple of kTileElements.
  Partition(const Layout& layout, ParameterGroups groups, int64_t block_elements);

  const std::vector<Tensor>& tensors() const { return tensors_; }
  const std::vector<Piece>& pieces() const { return pieces_; }  // In the order of the elements.
  const std::vector<Group>& groups() const { return groups_; }  // See ParameterGroups.
  // Of all groups that have an optimizer and tensors, by their leaders: which of them are one for
  // their optimizers' sums. These are taken over all tensors of the scope, and from them follows
  // one set of scalars, which is named after the leader, whose optimizer has the last word on it.
  // Steps are counted together as well; without scalars a group may have begun later than others.
  const std::vector<Scope>& scopes() const { return scopes_; }
  // As scopes(), for the norm of the gradient that GradientClip bounds globally. Each of scopes()
  // is part of one of these.
  const std::vector<Scope>& norm_scopes() const { return norm_scopes_; }

  const Group& GroupOf(size_t tensor) const { return groups_[tensors_[tensor].group]; }
  const Group& GroupOf(const Piece& piece) const { return GroupOf(piece.tensor); }
  // The tensor to which the element belongs.
  size_t TensorAt(int64_t element) const;

  int64_t elements() const { return tensors_.empty() ? 0 : tensors_.back().end; }
  int64_t block_elements() const { return block_elements_; }
  size_t blocks() const { return first_piece_.size() - 1; }
  // The block of the element with which it begins.
  size_t BlockAt(int64_t begin) const { return static_cast<size_t>(begin / block_elements_); }
  // Its pieces are those from first_piece(block) up to first_piece(block + 1).
  size_t first_piece(size_t block) const { return first_piece_[block]; }

  // The names of all groups' slots, each once.
  const std::vector<std::string>& slots() const { return slots_; }
  // The one that holds the point at which workers take gradients; -1: the parameters do.
  int training_slot() const { return training_slot_; }
  // Whether the tensor's optimizer has that slot.
  bool Uses(size_t tensor, size_t slot) const;
  // Whether the slot is what somebody reads instead of the parameters: it equals them where the
  // optimizer does not have it.
  bool Mirrors(size_t slot) const;
  // Whether the tensor has a slot of that name with a meaning.
  bool HasSlot(size_t tensor, const std::string& name) const;

  // Whether the momentum or beta1 of all optimizers follows StepInput::momentum.
  bool follows_momentum() const;
  // The largest factor that a group multiplies the schedule's rate with.
  double largest_rate_factor() const;

 private:
  void TakeGroups(const Layout& layout, ParameterGroups groups);
  void CutPieces();
  void CollectSlots();
  std::vector<Scope> CollectScopes(size_t Group::*leader_of) const;
  void OrderNorms();

  const int64_t block_elements_;
  std::vector<Tensor> tensors_;
  std::vector<Group> groups_;
  std::vector<Scope> scopes_;
  std::vector<Scope> norm_scopes_;
  std::vector<Piece> pieces_;
  std::vector<size_t> first_piece_;  // Of each block, and the number of all pieces.
  std::vector<std::string> slots_;
  int training_slot_ = -1;
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_PARTITION_H_

#ifndef GRADD_TESTS_CORE_OPTIM_PLAN_TRAINER_H_
#define GRADD_TESTS_CORE_OPTIM_PLAN_TRAINER_H_

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/types/span.h"
#include "core/base/thread_pool.h"
#include "core/optim/update_plan.h"
#include "core/store/layout.h"
#include "core/store/parameter_store.h"
#include "tests/core/optim/optimizer_table.h"

namespace gradd {

using Values = std::vector<float>;

inline Values Random(int64_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Values values(static_cast<size_t>(size));
  for (float& value : values) value = normal(random);
  return values;
}

inline Values Part(const Values& values, int64_t begin, int64_t size) {
  return {values.begin() + begin, values.begin() + begin + size};
}

// Tensors "a", "b", ... of `sizes` elements and TestShape(), that start at random values, or with
// `constant` at it.
inline Layout MakeLayout(const std::vector<int64_t>& sizes, float constant = 0) {
  v1::Layout layout;
  for (size_t i = 0; i < sizes.size(); ++i) {
    v1::Tensor& tensor = *layout.add_tensors();
    tensor.set_name(std::string(1, static_cast<char>('a' + i)));
    for (const int64_t dimension : TestShape(static_cast<size_t>(sizes[i])).dimensions) {
      tensor.add_shape(dimension);
    }
    if (constant != 0) {
      tensor.mutable_initializer()->set_constant(constant);
    } else {
      tensor.mutable_initializer()->mutable_uniform()->set_low(-1);
      tensor.mutable_initializer()->mutable_uniform()->set_high(1);
    }
  }
  return *Layout::Create(layout, int64_t{1} << 30);
}

inline absl::StatusOr<std::unique_ptr<UpdatePlan>> MakePlan(const Layout& layout,
                                                            const std::string& optimizer,
                                                            const std::vector<std::string>& groups,
                                                            int64_t block_elements) {
  v1::Optimizer spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(optimizer, &spec)) << optimizer;
  google::protobuf::RepeatedPtrField<v1::ParameterGroup> all;
  for (const std::string& group : groups) {
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(group, all.Add())) << group;
  }
  return UpdatePlan::Create(layout, spec, all, block_elements);
}

class Reader final : public GradientReader {
 public:
  explicit Reader(const float* at) : at_(at) {}
  const UnalignedFloat* Next(int64_t size) override { return std::exchange(at_, at_ + size); }

 private:
  const float* at_;
};

// What a plan and its store keep, in memory of its own, as if it had been read from a file.
struct Saved {
  Snapshot snapshot;
  PlanState state;
};

inline BlockVector CopyOf(const BlockVector& blocks, BlockPool* pool) {
  BlockVector copies;
  for (const BlockRef& block : blocks) {
    copies.push_back(block ? pool->Allocate(block.elements()) : BlockRef());
    if (block) std::copy_n(block.data(), block.elements(), copies.back().data());
  }
  return copies;
}

// A store that a plan updates, as a run does it.
class Trainer {
 public:
  Trainer(const Layout& layout, const std::string& optimizer,
          const std::vector<std::string>& groups = {}, int64_t block_elements = kTileElements,
          int threads = 2, uint64_t seed = 1)
      : layout_(layout),
        block_elements_(block_elements),
        pool_(threads),
        plan_(*MakePlan(layout, optimizer, groups, block_elements)),
        store_(layout, seed, plan_->slots(nullptr), &pool_, block_elements) {
    plan_->Allocate();
  }

  void Step(const Values& gradient, double learning_rate, double loss = 0) {
    plan_->BeginStep({store_.step(), learning_rate, loss});
    for (int pass = 0; pass < plan_->transform_passes(); ++pass) {
      pool_.ParallelFor(plan_->transformed_tensors(), [&](int64_t tensor) {
        Reader reader(gradient.data() + plan_->transformed_begin(tensor));
        ParameterStore::Reader parameters(store_, plan_->transformed_begin(tensor));
        plan_->TransformTensor(tensor, &reader, &parameters);
      });
      plan_->EndTransforms();
    }
    for (int pass = 0; pass < plan_->sum_passes(); ++pass) {
      pool_.ParallelFor(store_.block_count(), [&](int64_t block) {
        const ParameterStore::BlockUpdate read = store_.ReadBlock(block);
        Reader reader(gradient.data() + read.begin);
        plan_->SumBlock(read, &reader);
      });
      plan_->EndSums();
    }
    pool_.ParallelFor(store_.block_count(), [&](int64_t block) {
      store_.UpdateBlock(block, [&](const ParameterStore::BlockUpdate& update) {
        Reader reader(gradient.data() + update.begin);
        plan_->UpdateBlock(update, &reader);
      });
    });
    store_.CommitStep();
    norms_ = plan_->EndStep();
  }
  // `steps` of them with random gradients.
  void Train(int steps, double learning_rate, unsigned seed = 10) {
    for (int step = 0; step < steps; ++step) {
      Step(Random(layout_.element_count(), seed + static_cast<unsigned>(step)), learning_rate,
           /*loss=*/10);
    }
  }
  void Change(const std::string& optimizer, const std::vector<std::string>& groups = {}) {
    std::unique_ptr<UpdatePlan> next = *MakePlan(layout_, optimizer, groups, block_elements_);
    next->Allocate();
    next->Continue(*plan_);
    store_.ChangeSlots(next->slots(plan_.get()), &pool_);
    plan_ = std::move(next);
  }
  Saved Save() const {
    Saved saved = {*store_.TakeSnapshot(SnapshotContents::kAll), plan_->state()};
    const auto pool = BlockPool::Create();
    saved.snapshot.parameters = CopyOf(saved.snapshot.parameters, pool.get());
    for (SnapshotSlot& slot : saved.snapshot.slots) slot.blocks = CopyOf(slot.blocks, pool.get());
    return saved;
  }
  absl::Status Restore(const Saved& saved) {
    const absl::Status status = store_.Restore(saved.snapshot);
    return status.ok() ? plan_->Restore(saved.state) : status;
  }

  Values parameters() const { return Read(SnapshotContents::kEvaluation); }
  Values training() const { return Read(SnapshotContents::kTraining); }
  bool HasSlot(const std::string& name, int64_t block) const {
    return store_.ReadBlock(block).slots_in[IndexOf(name)] != nullptr;
  }
  // Zeros where the slot has no block.
  Values slot(const std::string& name) const {
    const size_t index = IndexOf(name);
    Values values;
    for (int64_t i = 0; i < store_.block_count(); ++i) {
      const ParameterStore::BlockUpdate block = store_.ReadBlock(i);
      if (const float* const at = block.slots_in[index]; at != nullptr) {
        values.insert(values.end(), at, at + block.size);
      } else {
        values.resize(values.size() + static_cast<size_t>(block.size));
      }
    }
    return values;
  }
  // All scalars of the plan's state, in the order of their names.
  std::vector<double> kept() const {
    std::vector<double> values;
    for (const auto& [name, entry] : plan_->state()) {
      const auto* const scalars = std::get_if<std::vector<double>>(&entry);
      if (scalars != nullptr) values.insert(values.end(), scalars->begin(), scalars->end());
    }
    return values;
  }
  const UpdatePlan& plan() const { return *plan_; }
  // Of the last step.
  const TileNorms& norms() const { return norms_; }

 private:
  size_t IndexOf(const std::string& name) const {
    const std::vector<SlotVector> slots = plan_->slots(nullptr).slots;
    const auto at = std::find_if(slots.begin(), slots.end(),
                                 [&](const SlotVector& slot) { return slot.name == name; });
    EXPECT_NE(at, slots.end()) << name;
    return static_cast<size_t>(at - slots.begin());
  }
  Values Read(SnapshotContents contents) const {
    const auto snapshot = store_.TakeSnapshot(contents);
    Values values;
    for (const BlockRef& block : snapshot->parameters) {
      values.insert(values.end(), block.data(), block.data() + block.elements());
    }
    return values;
  }

  const Layout layout_;
  const int64_t block_elements_;
  ThreadPool pool_;
  std::unique_ptr<UpdatePlan> plan_;
  ParameterStore store_;
  TileNorms norms_;
};

template <typename Vector>
std::string BytesOf(const Vector& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0])};
}

inline std::string BytesOf(const BlockVector& blocks) {
  std::string bytes;
  for (const BlockRef& block : blocks) {
    if (block)
      bytes += BytesOf(absl::MakeSpan(block.data(), static_cast<size_t>(block.elements())));
  }
  return bytes;
}

// By name, so that a difference can be named.
inline std::map<std::string, std::string> BytesOf(const Saved& saved) {
  std::map<std::string, std::string> bytes;
  bytes["step"] = std::to_string(saved.snapshot.step);
  bytes["parameters"] = BytesOf(saved.snapshot.parameters);
  for (const SnapshotSlot& slot : saved.snapshot.slots) {
    bytes["slots/" + slot.name] = BytesOf(slot.blocks);
  }
  for (const auto& [name, values] : saved.state) {
    bytes[name] = std::visit([](const auto& of_type) { return BytesOf(of_type); }, values);
  }
  return bytes;
}

inline void ExpectSameBits(const Saved& actual, const Saved& expected) {
  const auto actual_bytes = BytesOf(actual);
  const auto expected_bytes = BytesOf(expected);
  ASSERT_EQ(actual_bytes.size(), expected_bytes.size());
  for (const auto& [name, bytes] : expected_bytes) {
    ASSERT_EQ(actual_bytes.count(name), 1U) << name;
    EXPECT_TRUE(actual_bytes.at(name) == bytes) << name;
  }
}

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_OPTIM_PLAN_TRAINER_H_

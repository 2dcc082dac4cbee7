// No optimizer allocates memory while a step is applied, so that none can be missing then.

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/optim/update_plan.h"
#include "core/store/parameter_store.h"
#include "core/sync/aggregate.h"
#include "tests/core/optim/optimizer_table.h"
#include "tests/support/allocation_watch.h"

namespace gradd {
namespace {

TEST(WatchTest, Counts) {
  const AllocationWatch watch;
  const auto memory = std::make_unique<std::vector<int>>(100);
  EXPECT_EQ(AllocationWatch::count(), 2);
}

TEST(WatchTest, CountsOnlyWhatIsLargeEnough) {
  const std::vector<float> before(1000);
  const AllocationWatch watch(4000);
  const std::vector<float> small(999);
  const std::vector<float> large(1000);
  EXPECT_EQ(AllocationWatch::count(), 1);
}

Layout TestLayout() {
  v1::Layout message;
  int index = 0;
  for (const std::vector<int64_t>& shape :
       std::vector<std::vector<int64_t>>{{70, 301}, {300, 37}, {5, 3, 7, 2}, {2500}, {}}) {
    v1::Tensor* const tensor = message.add_tensors();
    tensor->set_name(std::to_string(index++));
    for (const int64_t side : shape) tensor->add_shape(side);
  }
  return *Layout::Create(message, 1 << 20);
}

std::shared_ptr<const StagedPush> RandomPush(const Layout& layout, unsigned seed) {
  v1::PushHeader header;
  header.set_examples(1);
  header.set_loss(2);
  auto push = std::make_shared<StagedPush>(header, layout);
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  auto values = std::make_shared<std::vector<float>>(static_cast<size_t>(layout.element_count()));
  for (float& value : *values) value = normal(random);
  const Payload::Slice slice(reinterpret_cast<const std::byte*>(values->data()),
                             values->size() * sizeof(float));
  EXPECT_TRUE(push->Add(v1::ParameterChunk(), Payload({slice}, values)).ok());
  return push;
}

// Whoever finds no memory tries again: what is there by then is not taken twice.
TEST(PlanTest, IsAllocatedOnce) {
  v1::Optimizer spec;
  spec.mutable_muon();
  auto plan = *UpdatePlan::Create(TestLayout(), spec, {}, kTileElements, /*threads=*/3);
  plan->Allocate();
  const AllocationWatch watch;
  plan->Allocate();
  EXPECT_EQ(AllocationWatch::count(), 0);
}

class StepAllocationsTest : public testing::TestWithParam<std::string> {};

// What optimizers and readers of gradients do on the pool's threads, where nobody could catch
// std::bad_alloc, and what surrounds it.
TEST_P(StepAllocationsTest, AreNone) {
  v1::Optimizer spec;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(GetParam(), &spec));
  const Layout layout = TestLayout();
  ThreadPool pool(1);
  auto plan = *UpdatePlan::Create(layout, spec, {}, kTileElements);
  ParameterStore store(layout, 1, plan->slots(nullptr), &pool, kTileElements);
  plan->Allocate();
  const auto a = RandomPush(layout, 1);
  const auto b = RandomPush(layout, 2);
  for (int step = 0; step < 3; ++step) {
    const Aggregate aggregate({a, b}, {0.5F, 0.5F});
    int64_t in_step = 0;
    int64_t in_blocks = 0;
    {
      const AllocationWatch watch;
      plan->BeginStep({step, 0.01, 1});
      for (int pass = 0; pass < plan->transform_passes(); ++pass) {
        for (int64_t i = 0; i < plan->transformed_tensors(); ++i) {
          Aggregate::Reader gradient(aggregate, plan->transformed_begin(i));
          ParameterStore::Reader parameters(store, plan->transformed_begin(i));
          plan->TransformTensor(i, &gradient, &parameters);
        }
        plan->EndTransforms();
      }
      in_step = AllocationWatch::count();
    }
    for (int pass = 0; pass < plan->sum_passes(); ++pass) {
      for (int64_t i = 0; i < store.block_count(); ++i) {
        const ParameterStore::BlockUpdate read = store.ReadBlock(i);
        const AllocationWatch watch;
        Aggregate::Reader gradient(aggregate, read.begin);
        plan->SumBlock(read, &gradient);
        in_blocks += AllocationWatch::count();
      }
      const AllocationWatch watch;
      plan->EndSums();
      in_step += AllocationWatch::count();
    }
    for (int64_t i = 0; i < store.block_count(); ++i) {
      store.UpdateBlock(i, [&](const ParameterStore::BlockUpdate& update) {
        const AllocationWatch watch;
        Aggregate::Reader gradient(aggregate, update.begin);
        plan->UpdateBlock(update, &gradient);
        in_blocks += AllocationWatch::count();
      });
    }
    store.CommitStep();
    {
      const AllocationWatch watch;
      plan->EndStep();
      in_step += AllocationWatch::count();
    }
    EXPECT_EQ(in_blocks, 0);
    // The first step makes room for scalars, which later ones use again.
    if (step > 0 || plan->transformed_tensors() > 0) {
      EXPECT_EQ(in_step, 0) << step;
    }
  }
}

std::vector<std::string> Specs() {
  std::vector<std::string> specs;
  for (const OptimizerCase& row : OptimizerTable()) specs.push_back(row.spec);
  for (const char* const kind : {"adam {}", "muon {}", "shampoo {}", "sm3 {}", "adafactor {}"}) {
    for (const char* const stage :
         {"centralize_gradient: true adaptive_clipping: 0.01", "clip_by_value: 0.1",
          "clip_by_tensor_norm: 0.5 clip_by_global_norm: 0.5", "look_ahead {}",
          "parameter_average {}", "weight_decay: 0.1"}) {
      specs.push_back(std::string(kind) + " " + stage);
    }
  }
  return specs;
}

INSTANTIATE_TEST_SUITE_P(Table, StepAllocationsTest, testing::ValuesIn(Specs()),
                         [](const auto& row) { return std::to_string(row.index); });

}  // namespace
}  // namespace gradd

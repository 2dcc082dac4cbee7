// What is measured of pushes: the same bits whatever the chunks, the encoding of the same numbers,
// the blocks and the threads, with every way in which a step is made; right; and nothing that
// nobody asks for.

#include "core/step/push_meter.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <ostream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/thread_pool.h"
#include "core/optim/update_plan.h"
#include "tests/core/run/cut_push.h"
#include "tests/support/replayed_engine.h"
#include "tests/support/trainee.h"

namespace gradd {
namespace {

using Pushes = std::vector<std::shared_ptr<const StagedPush>>;
using Values = std::vector<float>;

constexpr int kMeteredPushes = 3;
const std::vector<float> kCoefficients = {0.5F, 0.125F, 0.375F};
constexpr WantedMeasurements kEverything = {true, true, true};

// How a step is made.
struct Kind {
  const char* name;
  const char* optimizer;
  const char* frozen = "";  // Tensors.
  bool window = false;      // Something lies in it.
};
std::ostream& operator<<(std::ostream& out, const Kind& kind) { return out << kind.name; }
constexpr Kind kKinds[] = {
    {"sgd", "sgd {}"},
    {"clipped", "adam {} clip_by_global_norm: 0.1"},  // Sums come first,
    {"matrices", "muon {}"},                          // or whole tensors.
    {"frozen", "adam {}", "table|vector"},
    {"window", "adam {}", "", true},
};

v1::Run SpecOf(const Kind& kind) {
  NamedOptimizer optimizer{kind.name, {}};
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(kind.optimizer, &optimizer.spec));
  if (kind.window) optimizer.spec.set_accumulation_steps(2);
  v1::Run spec = gradd::SpecOf(optimizer);
  if (*kind.frozen != 0) {
    v1::ParameterGroup& group = *spec.add_groups();
    group.set_pattern(kind.frozen);
    group.set_frozen(true);
  }
  return spec;
}

const Layout& TestLayout() {
  static const auto& layout = *new Layout(*Layout::Create(SpecOf(kKinds[0]).layout(), 1 << 20));
  return layout;
}

std::shared_ptr<const StagedPush> Stage(const std::vector<Part>& parts) {
  auto push = std::make_shared<StagedPush>(v1::PushHeader(), TestLayout());
  const std::vector<v1::TrainRequest> requests = RequestsOf(v1::PushHeader(), parts);
  for (size_t i = 0; i < parts.size(); ++i) {
    const absl::Status added = push->Add(requests[i].push().chunk(), PayloadOf(parts[i]));
    EXPECT_TRUE(added.ok()) << added;
  }
  EXPECT_TRUE(push->CheckComplete().ok());
  return push;
}

Values ValuesOf(const StagedPush& push) {
  Values values(static_cast<size_t>(push.elements()));
  StagedPush::Reader reader(push, 0);
  for (int64_t at = 0; at < push.elements(); at += kTileElements) {
    const int64_t size = std::min(kTileElements, push.elements() - at);
    Values scratch(static_cast<size_t>(size));
    const UnalignedFloat* const tile = reader.Next(size, scratch.data());
    for (int64_t i = 0; i < size; ++i) values[static_cast<size_t>(at + i)] = tile[i];
  }
  return values;
}

// A push of the same numbers as float32, in one chunk.
std::shared_ptr<const StagedPush> AsFloat32(const StagedPush& push) {
  Part part;
  part.values = ValuesOf(push);
  return Stage({part});
}

// One of each worker. Where chunks end is random.
Pushes CutPushes(v1::Encoding encoding, std::mt19937* random, int count = kMeteredPushes) {
  Pushes pushes;
  for (int worker = 0; worker < count; ++worker) {
    pushes.push_back(Stage(encoding == v1::ENCODING_ROWS
                               ? CutRows(0, worker, random)
                               : CutPush(encoding, /*encoded=*/true, 0, worker, random)));
  }
  return pushes;
}

Pushes AsFloat32(const Pushes& pushes) {
  Pushes whole;
  whole.reserve(pushes.size());
  for (const auto& push : pushes) whole.push_back(AsFloat32(*push));
  return whole;
}

struct Way {
  int64_t block_tiles;
  int threads;
};
constexpr Way kWays[] = {{64, 1}, {1, 2}, {3, 3}, {2, 1}};

// The pushes make a step.
class Stepped {
 public:
  Stepped(const Kind& kind, const Way& way, const Pushes& pushes, WantedMeasurements wanted)
      : engine_(way.block_tiles * kTileElements, std::make_unique<ThreadPool>(way.threads)) {
    state::v1::Event event;
    *event.mutable_created()->mutable_spec() = SpecOf(kind);
    engine_.Append(event, {});
    if (kind.window) {
      std::mt19937 random(9);
      const Pushes folded = {Stage(CutPush(v1::ENCODING_FLOAT32, true, 5, 0, &random))};
      state::v1::FoldedPush& fold = *event.mutable_fold();
      fold.mutable_push()->set_coefficient(1);
      fold.set_largest(folded[0]->largest());
      engine_.Append(event, folded);
    }
    state::v1::StepDecision& step = *event.mutable_step();
    step.set_step(1);
    step.set_learning_rate(0.01);
    step.set_learning_rate_without_warm_up(0.01);
    step.set_momentum(-1);
    step.set_loss(1);
    if (kind.window) step.set_window_coefficient(0.5F);
    for (size_t i = 0; i < pushes.size(); ++i) {
      state::v1::DecidedPush& used = *step.add_used();
      used.set_worker(std::string(1, static_cast<char>('a' + i)));
      used.set_examples(static_cast<int64_t>(i) + 1);
      used.set_coefficient(kCoefficients[i] * (kind.window ? 0.5F : 1.0F));
    }
    engine_.SetWanted(wanted);
    engine_.Append(event, pushes);
    EXPECT_EQ(engine_.fault(), "");
  }

  const std::optional<Measurements>& measured() const { return engine_.measured(); }
  const StepStatistics& statistics() const { return engine_.statistics(); }
  const StepEngine& engine() const { return engine_.engine(); }
  std::string bits() { return engine_.Bits(); }

 private:
  ReplayedEngine engine_;
};

// But for the largest magnitudes.
std::vector<double> SumsOf(const Measurements& measured) {
  std::vector<double> sums = measured.pairs;
  sums.push_back(measured.mean_squared_norm);
  for (const Measurements::OfPush& push : measured.pushes) {
    sums.push_back(push.squared_norm);
    sums.push_back(push.with_mean);
  }
  return sums;
}

class PushMeterTest : public testing::TestWithParam<Kind> {};

TEST_P(PushMeterTest, ChunksEncodingsBlocksAndThreadsDoNotMatter) {
  std::mt19937 random(1);
  for (const v1::Encoding encoding :
       {v1::ENCODING_FLOAT32, v1::ENCODING_BFLOAT16, v1::ENCODING_FLOAT16, v1::ENCODING_INT8,
        v1::ENCODING_SPARSE, v1::ENCODING_ROWS}) {
    const Pushes same = AsFloat32(CutPushes(encoding, &random));
    // Where rows are missing, blocks that nobody has a gradient of are left alone.
    const Stepped expected(GetParam(), kWays[0], same, kEverything);
    ASSERT_TRUE(expected.measured().has_value());
    for (const Way& way : kWays) {
      const std::string where = absl::StrCat(v1::Encoding_Name(encoding), ", blocks of ",
                                             way.block_tiles, " tiles, ", way.threads, " threads");
      const Pushes pushes = CutPushes(encoding, &random);
      Stepped stepped(GetParam(), way, pushes, kEverything);
      ASSERT_TRUE(stepped.measured().has_value()) << where;
      EXPECT_EQ(SumsOf(*stepped.measured()), SumsOf(*expected.measured())) << where;
      // Alone, and not while they are merged.
      std::vector<float> coefficients = kCoefficients;
      if (GetParam().window) {
        for (float& coefficient : coefficients) coefficient /= 2;
      }
      const auto alone = stepped.engine().Measure(pushes, coefficients, kEverything);
      ASSERT_TRUE(alone.has_value()) << where;
      EXPECT_EQ(SumsOf(*alone), SumsOf(*expected.measured())) << where;
      // Nor does it change the step.
      EXPECT_TRUE(stepped.bits() == Stepped(GetParam(), way, pushes, {}).bits()) << where;
    }
  }
}

// Whether the element counts.
std::vector<bool> Trained(const Kind& kind) {
  std::vector<bool> trained;
  for (const v1::Tensor& tensor : TestLayout().message().tensors()) {
    const bool frozen = std::string(kind.frozen).find(tensor.name()) != std::string::npos;
    trained.resize(trained.size() + static_cast<size_t>(ElementCount(tensor)), !frozen);
  }
  return trained;
}

TEST_P(PushMeterTest, GivesWhatAPlainLoopGives) {
  std::mt19937 random(2);
  const Pushes pushes = CutPushes(v1::ENCODING_FLOAT32, &random);
  const Stepped stepped(GetParam(), kWays[1], pushes, kEverything);
  ASSERT_TRUE(stepped.measured().has_value());
  const Measurements& measured = *stepped.measured();

  std::vector<std::vector<double>> rows;
  for (const auto& push : pushes) {
    const Values values = ValuesOf(*push);
    rows.emplace_back(values.begin(), values.end());
  }
  const std::vector<bool> trained = Trained(GetParam());
  const auto product = [&](const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += trained[i] ? a[i] * b[i] : 0;
    return sum;
  };
  std::vector<double> mean(rows[0].size());
  for (size_t k = 0; k < rows.size(); ++k) {
    for (size_t i = 0; i < mean.size(); ++i) {
      mean[i] += static_cast<double>(kCoefficients[k]) * rows[k][i];
    }
  }
  const double scale = product(rows[0], rows[0]);
  ASSERT_EQ(measured.pushes.size(), rows.size());
  for (size_t k = 0; k < rows.size(); ++k) {
    EXPECT_NEAR(measured.pushes[k].squared_norm, product(rows[k], rows[k]), 1e-12 * scale);
    EXPECT_NEAR(measured.pushes[k].with_mean, product(rows[k], mean), 1e-7 * scale);
    EXPECT_EQ(measured.pushes[k].largest, static_cast<double>(pushes[k]->largest()));
    EXPECT_EQ(stepped.statistics().pushes[k].worker, std::string(1, "abc"[k]));
    EXPECT_EQ(stepped.statistics().pushes[k].examples, static_cast<int64_t>(k) + 1);
    EXPECT_EQ(stepped.statistics().pushes[k].squared_norm, measured.pushes[k].squared_norm);
    EXPECT_EQ(stepped.statistics().pushes[k].with_mean, measured.pushes[k].with_mean);
    for (size_t j = 0; j < k; ++j) {
      EXPECT_NEAR(measured.pairs[Measurements::PairIndex(k, j)], product(rows[k], rows[j]),
                  1e-12 * scale);
    }
  }
  EXPECT_NEAR(measured.mean_squared_norm, product(mean, mean), 1e-7 * scale);
  if (GetParam().window) return;  // The step's gradient is another one.
  EXPECT_NEAR(measured.mean_squared_norm, std::pow(stepped.statistics().gradient_norm, 2),
              1e-5 * scale);
}

TEST_P(PushMeterTest, WhatNobodyAsksForIsNotMeasured) {
  std::mt19937 random(3);
  const Pushes pushes = CutPushes(v1::ENCODING_FLOAT32, &random);
  const Stepped nothing(GetParam(), kWays[1], pushes, {});
  EXPECT_FALSE(nothing.measured().has_value());
  EXPECT_TRUE(nothing.statistics().pushes.empty());
  EXPECT_FALSE(nothing.engine().Measure(pushes, kCoefficients, {}).has_value());

  const Stepped norms(GetParam(), kWays[1], pushes, {/*norms=*/true, false, false});
  const Stepped everything(GetParam(), kWays[1], pushes, kEverything);
  ASSERT_TRUE(norms.measured().has_value());
  EXPECT_TRUE(norms.measured()->pairs.empty());
  for (size_t k = 0; k < pushes.size(); ++k) {
    EXPECT_EQ(norms.measured()->pushes[k].with_mean, 0);
    EXPECT_EQ(norms.measured()->pushes[k].squared_norm,
              everything.measured()->pushes[k].squared_norm);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, PushMeterTest, testing::ValuesIn(kKinds),
                         [](const auto& param) { return std::string(param.param.name); });

// A plan, whose partition says what is added first.
std::unique_ptr<UpdatePlan> PlanWith(int64_t block_tiles) {
  return *UpdatePlan::Create(TestLayout(), SpecOf(kKinds[0]).optimizer(), {},
                             block_tiles * kTileElements);
}

// Measures blocks `first` to `end`.
void MeasureBlocks(const Partition& partition, size_t first, size_t end, const Pushes& pushes,
                   const std::vector<float>& coefficients, PushMeter* meter) {
  const Aggregate aggregate(pushes, coefficients);
  for (size_t block = first; block < end; ++block) {
    const int64_t begin = static_cast<int64_t>(block) * partition.block_elements();
    const int64_t stop = std::min(begin + partition.block_elements(), partition.elements());
    PushMeter::Pass pass(meter, begin);
    Aggregate::Reader sum(aggregate, begin);
    for (int64_t at = begin; at < stop; at += kTileElements) {
      const int64_t size = std::min(kTileElements, stop - at);
      pass.Add(at, size, sum.Next(size));
    }
  }
}

TEST(PushMeterPartsTest, APartAddedToTheOneBeforeGivesTheSameBits) {
  std::mt19937 random(4);
  const Pushes pushes = CutPushes(v1::ENCODING_BFLOAT16, &random);
  const auto budget = MemoryBudget::Create(MemoryBudget::Limits());
  const auto plan = PlanWith(1);
  const Partition& partition = plan->partition();
  const auto meter = [&] {
    return PushMeter::Create(pushes, kCoefficients, kEverything, partition, /*threads=*/1,
                             budget.get());
  };
  const auto whole = meter();
  MeasureBlocks(partition, 0, partition.blocks(), pushes, kCoefficients, whole.get());
  for (size_t middle = 0; middle <= partition.blocks(); ++middle) {
    const auto first = meter();
    const auto second = meter();
    MeasureBlocks(partition, 0, middle, pushes, kCoefficients, first.get());
    MeasureBlocks(partition, middle, partition.blocks(), pushes, kCoefficients, second.get());
    std::vector<double> totals;
    first->AddTo(0, partition.first_piece(middle), &totals);
    second->AddTo(partition.first_piece(middle), partition.pieces().size(), &totals);
    EXPECT_EQ(SumsOf(first->Conclude(totals)), SumsOf(whole->Measured())) << middle;
  }
}

TEST(PushMeterPartsTest, ManyPushesAreMeasuredAsFewAre) {
  std::mt19937 random(5);
  const auto budget = MemoryBudget::Create(MemoryBudget::Limits());
  const auto plan = PlanWith(2);
  const Partition& partition = plan->partition();
  constexpr int kMany = 50;
  static_assert(kMany > static_cast<int>(PushMeter::kMostInPairs));
  const Pushes many = CutPushes(v1::ENCODING_FLOAT16, &random, kMany);
  const std::vector<float> coefficients(kMany, 1.0F / kMany);
  EXPECT_EQ(
      PushMeter::Create(many, coefficients, kEverything, partition, /*threads=*/1, budget.get()),
      nullptr)
      << "there are too many pairs";
  const auto meter = PushMeter::Create(many, coefficients, {true, true, false}, partition,
                                       /*threads=*/1, budget.get());
  MeasureBlocks(partition, 0, partition.blocks(), many, coefficients, meter.get());
  const Measurements measured = meter->Measured();
  const Pushes few(many.end() - PushMeter::kMostInPairs, many.end());
  const std::vector<float> shares(few.size(), 1.0F);
  const auto of_few =
      PushMeter::Create(few, shares, kEverything, partition, /*threads=*/1, budget.get());
  MeasureBlocks(partition, 0, partition.blocks(), few, shares, of_few.get());
  const Measurements expected = of_few->Measured();
  for (size_t i = 0; i < few.size(); ++i) {
    EXPECT_EQ(measured.pushes[many.size() - few.size() + i].squared_norm,
              expected.pushes[i].squared_norm);
  }
  // The products with the mean of these few follow from those of pairs.
  double product = 0;
  for (size_t j = 0; j < few.size(); ++j) {
    product +=
        j == 0 ? expected.pushes[0].squared_norm : expected.pairs[Measurements::PairIndex(j, 0)];
  }
  EXPECT_NEAR(expected.pushes[0].with_mean, product / static_cast<double>(few.size()),
              1e-6 * expected.pushes[0].squared_norm);
}

TEST(PushMeterPartsTest, WhatItTakesIsClaimedAndGivenBack) {
  std::mt19937 random(6);
  const Pushes pushes = CutPushes(v1::ENCODING_FLOAT32, &random);
  const auto plan = PlanWith(2);
  const auto create = [&](MemoryBudget* budget) {
    return PushMeter::Create(pushes, kCoefficients, kEverything, plan->partition(), /*threads=*/2,
                             budget);
  };
  const auto plenty = MemoryBudget::Create(MemoryBudget::Limits());
  auto meter = create(plenty.get());
  ASSERT_NE(meter, nullptr);
  const int64_t bytes = plenty->taken_bytes(MemoryUse::kScratch);
  constexpr int64_t kSums = 3 + 3 + 3;
  EXPECT_GE(bytes, static_cast<int64_t>(plan->partition().pieces().size()) * kSums * 8);
  meter.reset();
  EXPECT_EQ(plenty->taken_bytes(), 0);

  MemoryBudget::Limits limits;
  limits.of(MemoryUse::kScratch) = bytes;
  const auto enough = MemoryBudget::Create(limits);
  meter = create(enough.get());
  EXPECT_NE(meter, nullptr);
  EXPECT_EQ(create(enough.get()), nullptr) << "there is no room for another one";
}

}  // namespace
}  // namespace gradd

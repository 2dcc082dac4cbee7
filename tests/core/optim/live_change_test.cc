// A stage that comes and goes in the middle of training, around every optimizer.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/core/optim/optimizer_table.h"
#include "tests/core/optim/plan_trainer.h"

namespace gradd {
namespace {

constexpr int64_t kElements = 12;  // A matrix of 3 x 4, see TestShape().
constexpr int kPhaseSteps = 5;

using Doubles = std::vector<double>;

double NormOf(const double* values, size_t size) {
  double squares = 0;
  for (size_t i = 0; i < size; ++i) squares += values[i] * values[i];
  return std::sqrt(squares);
}

void Bound(double most, double* values, size_t size) {
  const double norm = NormOf(values, size);
  for (size_t i = 0; i < size && norm > most; ++i) values[i] *= most / norm;
}

// A stage in double, from its description in optimizer.proto.
struct Stage {
  std::string name;
  std::string spec;  // Beside the optimizer's.
  // Of the gradient at `p`, before the optimizer.
  std::function<void(const Doubles& p, Doubles* g)> before = [](const Doubles&, Doubles*) {};
  // Of the parameters after step `t`, counted from 1 since the optimizer's begin. `own` is empty
  // when the stage comes.
  std::function<void(int64_t t, const Doubles& p_before, Doubles* p, Doubles* own)> after =
      [](int64_t, const Doubles&, Doubles*, Doubles*) {};
};

const std::vector<Stage>& Stages() {
  static const auto& stages = *new std::vector<Stage>([] {
    const auto columns = static_cast<size_t>(TestShape(kElements).columns());
    std::vector<Stage> all(7);
    all[0] = {"clip_by_value", "clip_by_value: 0.5"};
    all[0].before = [](const Doubles&, Doubles* g) {
      for (double& value : *g) value = std::clamp(value, -0.5, 0.5);
    };
    all[1] = {"clip_by_tensor_norm", "clip_by_tensor_norm: 0.7"};
    all[1].before = [](const Doubles&, Doubles* g) { Bound(0.7, g->data(), g->size()); };
    all[2] = {"clip_by_global_norm", "clip_by_global_norm: 0.3"};
    all[2].before = [](const Doubles&, Doubles* g) { Bound(0.3, g->data(), g->size()); };
    all[3] = {"centralize_gradient", "centralize_gradient: true"};
    all[3].before = [columns](const Doubles&, Doubles* g) {
      for (size_t row = 0; row < g->size(); row += columns) {
        double mean = 0;
        for (size_t i = 0; i < columns; ++i) mean += (*g)[row + i] / static_cast<double>(columns);
        for (size_t i = 0; i < columns; ++i) (*g)[row + i] -= mean;
      }
    };
    all[4] = {"adaptive_clipping", "adaptive_clipping: 0.4"};
    all[4].before = [columns](const Doubles& p, Doubles* g) {
      for (size_t row = 0; row < g->size(); row += columns) {
        Bound(0.4 * std::max(NormOf(&p[row], columns), 1e-3), &(*g)[row], columns);
      }
    };
    all[5] = {"look_ahead", "look_ahead { interval: 3 alpha: 0.25 }"};
    all[5].after = [](int64_t t, const Doubles& p_before, Doubles* p, Doubles* own) {
      if (own->empty()) *own = p_before;
      for (size_t i = 0; i < p->size() && t % 3 == 0; ++i) {
        (*own)[i] += 0.25 * ((*p)[i] - (*own)[i]);
        (*p)[i] = (*own)[i];
      }
    };
    all[6] = {"parameter_average", "parameter_average { decay: 0.5 }"};
    return all;
  }());
  return stages;
}

bool IsAccepted(const Layout& layout, const std::string& spec) {
  return MakePlan(layout, spec, {}, kTileElements).ok();
}

class LiveChangeTest : public testing::TestWithParam<OptimizerCase> {};

// The optimizer itself goes on as if nothing had happened, which the reference does.
TEST_P(LiveChangeTest, WithAStageThatComesAndGoesTheParametersAreThoseOfTheReference) {
  const OptimizerCase& row = GetParam();
  const Layout layout = MakeLayout({kElements});
  for (const Stage& stage : Stages()) {
    SCOPED_TRACE(stage.name);
    const std::string with = absl::StrCat(row.spec, " ", stage.spec);
    if (!IsAccepted(layout, with)) continue;
    // At a meeting the point at which workers train moves too, and FTRL goes on from there instead
    // of from the sum of its gradients. The references do not know of that.
    const bool moves_more = row.training_state >= 0 || row.name.rfind("ftrl", 0) == 0;
    if (stage.name == "look_ahead" && moves_more) continue;
    Trainer trainer(layout, row.spec, {}, kTileElements, /*threads=*/1);
    const Values first = trainer.parameters();
    Doubles p(first.begin(), first.end());
    const Doubles start = p;
    std::vector<Doubles> state;
    Doubles own;
    double way = 0;
    int64_t t = 0;
    for (const bool staged : {false, true, false}) {
      if (t > 0) trainer.Change(staged ? with : row.spec);
      for (int i = 0; i < kPhaseSteps; ++i) {
        const Values gradient = Random(kElements, static_cast<unsigned>(100 + t));
        trainer.Step(gradient, row.parabola_rate, /*loss=*/10);
        Doubles g(gradient.begin(), gradient.end());
        const Doubles before = p;
        if (staged) stage.before(p, &g);
        row.reference.Step(++t, row.parabola_rate, /*loss=*/10, g, &p, &state);
        if (staged) stage.after(t, before, &p, &own);
      }
      for (size_t i = 0; i < p.size(); ++i) way = std::max(way, std::abs(p[i] - start[i]));
      const Values actual = trainer.parameters();
      for (size_t i = 0; i < p.size(); ++i) {
        ASSERT_NEAR(static_cast<double>(actual[i]), p[i], 2e-4 * way + 1e-6) << "step " << t;
      }
    }
    EXPECT_GT(way, 1e-9) << "nothing was trained";
  }
}

// And nothing is left behind that is not in its state: who is restored from that goes on likewise.
TEST_P(LiveChangeTest, AfterAChangeARestoredRunGoesOnWithTheSameBits) {
  const OptimizerCase& row = GetParam();
  const Layout layout = MakeLayout({kElements, 5});
  std::vector<std::string> stages = {"accumulation_steps: 3", "weight_decay: 0.01"};
  for (const Stage& stage : Stages()) stages.push_back(stage.spec);
  for (const std::string& stage : stages) {
    SCOPED_TRACE(stage);
    if (row.spec.find("weight_decay:") != std::string::npos && stage == "weight_decay: 0.01")
      continue;
    const std::string with = absl::StrCat(row.spec, " ", stage);
    if (!IsAccepted(layout, with)) continue;
    Trainer trainer(layout, row.spec);
    unsigned seed = 10;
    for (const std::string& next : {with, row.spec, with}) {
      trainer.Train(4, row.parabola_rate, seed += 10);
      trainer.Change(next);
      const Saved saved = trainer.Save();
      Trainer restored(layout, next, {}, kTileElements, /*threads=*/1, /*seed=*/2);
      const absl::Status status = restored.Restore(saved);
      ASSERT_TRUE(status.ok()) << status;
      trainer.Train(4, row.parabola_rate, seed += 10);
      restored.Train(4, row.parabola_rate, seed);
      ExpectSameBits(restored.Save(), trainer.Save());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Table, LiveChangeTest, testing::ValuesIn(OptimizerTable()),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace gradd

#include "core/optim/tensor_work.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace gradd {
namespace {

using testing::ElementsAre;

// Adds all gradients so far, and `offset` for each.
class Accumulate final : public TensorTransform {
 public:
  explicit Accumulate(std::string name, float offset = 0)
      : name_(std::move(name)), offset_(offset) {}
  std::vector<TensorStateSpec> State(const TensorShape& shape) const override {
    return {{name_, shape.elements(), offset_}};
  }
  void Transform(const StepInput& /*input*/, const TensorShape& shape,
                 const Vectors& vectors) const override {
    for (int64_t i = 0; i < shape.elements(); ++i) {
      vectors.result[i] = vectors.state[0][i] += vectors.gradient[i];
    }
  }

 private:
  const std::string name_;
  const float offset_;
};

std::vector<float> Step(TensorWork* work, std::vector<float> gradient) {
  std::copy(gradient.begin(), gradient.end(), work->gradient());
  work->Transform({});
  return {work->result(), work->result() + gradient.size()};
}

TEST(TensorWorkTest, TransformsOneAfterTheOtherEachWithItsOwnState) {
  const Accumulate first("first");
  const Accumulate second("second", 100);
  TensorWork work({{2}}, {&first, &second});
  work.Allocate();
  EXPECT_THAT(Step(&work, {1, 2}), ElementsAre(101, 102));
  EXPECT_THAT(Step(&work, {1, 2}), ElementsAre(103, 106));
  EXPECT_EQ(work.bytes(), 4 * (2 + 2) + 2 * 2 * 4);
}

TEST(TensorWorkTest, GoesOnWithWhatHasTheSameNameAndLength) {
  const Accumulate old("sum");
  TensorWork before({{2}}, {&old});
  before.Allocate();
  Step(&before, {1, 2});

  TensorWork same({{2}}, {&old});
  same.Allocate();
  EXPECT_TRUE(same.ContinuesAll(before));
  same.Continue(before);
  EXPECT_THAT(Step(&same, {1, 2}), ElementsAre(2, 4));

  const Accumulate renamed("other");
  TensorWork other({{2}}, {&renamed});
  other.Allocate();
  EXPECT_FALSE(other.ContinuesAll(before));
  other.Continue(before);
  EXPECT_THAT(Step(&other, {1, 2}), ElementsAre(1, 2));
}

}  // namespace
}  // namespace gradd

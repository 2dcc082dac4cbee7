// Steps of a few rows, in this process, against steps of more rows, of more elements and of all.

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "core/run/run_registry.h"
#include "tests/benchmarks/figure.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

constexpr int64_t kRowElements = 64;
constexpr int64_t kFewRows = 1'000;
constexpr int64_t kManyRows = 10'000;

// A run with Adam whose tensor has that many rows.
class Embedding {
 public:
  Embedding(RunRegistry* registry, const std::string& name, int64_t rows)
      : rows_(rows), worker_(registry, name, "w") {
    v1::Run spec = SynchronousSpec(rows * kRowElements, 1);
    *spec.mutable_layout() = MatrixLayout(rows, kRowElements).message();
    spec.mutable_optimizer()->mutable_adam();
    spec.mutable_schedule()->set_learning_rate(1e-3);
    run_ = Must(registry->Create(name, spec, ""));
    worker_.Join();
  }

  // Pushes `count` rows, other ones at every step, or all elements if it is 0. Returns how long the
  // step took to apply, in seconds.
  double Step(int64_t count) {
    const double before = run_->ReadMetrics().apply_seconds.sum();
    if (count == 0) {
      worker_.Push(step_ + 1, step_,
                   std::vector<float>(static_cast<size_t>(rows_ * kRowElements), 1));
    } else {
      PushRows(count);
    }
    worker_.WaitForResult(static_cast<size_t>(step_));
    ++step_;
    return run_->ReadMetrics().apply_seconds.sum() - before;
  }

 private:
  void PushRows(int64_t count) {
    // The tensor comes in parts, so that a chunk holds the rows of each.
    constexpr int64_t kRowsInChunk = 1'000;
    const int64_t gap = rows_ / count;
    const int64_t parts = count / kRowsInChunk;
    for (int64_t part = 0; part < parts; ++part) {
      const int64_t first = part * kRowsInChunk * gap;
      const int64_t end = part + 1 == parts ? rows_ : first + kRowsInChunk * gap;
      auto words = std::make_shared<std::vector<uint32_t>>();
      for (int64_t row = 0; row < kRowsInChunk; ++row) {
        words->push_back(static_cast<uint32_t>(row * gap + (row * 7919 + step_ * 31) % gap));
      }
      const std::vector<float> values(kRowsInChunk * kRowElements, 1);
      words->resize(words->size() + values.size());
      std::memcpy(&(*words)[kRowsInChunk], values.data(), values.size() * sizeof(float));
      v1::TrainRequest request;
      v1::Push& push = *request.mutable_push();
      if (part == 0) {
        push.mutable_header()->set_sequence(step_ + 1);
        push.mutable_header()->set_base_step(step_);
        push.mutable_header()->set_examples(1);
      }
      if (part + 1 == parts) push.mutable_commit();
      push.mutable_chunk()->set_offset(first * kRowElements);
      push.mutable_chunk()->set_encoding(v1::ENCODING_ROWS);
      push.mutable_chunk()->set_element_count((end - first) * kRowElements);
      const Payload::Slice slice(reinterpret_cast<const std::byte*>(words->data()),
                                 words->size() * sizeof(uint32_t));
      worker_.Request(std::move(request), Payload({slice}, std::move(words)));
    }
  }

  const int64_t rows_;
  std::shared_ptr<Run> run_;
  FakeWorker worker_;
  int64_t step_ = 0;
};

}  // namespace

void MeasureRows(const Settings& settings) {
  RunRegistry registry(Limits(), /*threads=*/2);
  constexpr int64_t kRows = 500'000;
  Embedding small(&registry, "small", kRows / 8);
  Embedding large(&registry, "large", kRows);
  large.Step(0);  // The norm of the parameters is known from here on.
  small.Step(0);
  std::vector<double> few;
  std::vector<double> many;
  std::vector<double> few_of_small;
  std::vector<double> whole;
  for (int round = 0; round < 8 * settings.rounds(); ++round) {
    few.push_back(large.Step(kFewRows));
    many.push_back(large.Step(kManyRows));
    few_of_small.push_back(small.Step(kFewRows));
    if (round % 8 == 0) whole.push_back(large.Step(0));
  }
  Print("rows_step_us", Median(few) * 1e6, "us");
  Print("rows_step_over_whole_step", Median(few) / Median(whole), "x");
  Print("rows_10000_over_1000", Median(many) / Median(few), "x");
  Print("rows_of_large_over_small", Median(few) / Median(few_of_small), "x");
}

}  // namespace gradd

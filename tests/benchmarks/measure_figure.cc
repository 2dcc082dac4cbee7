// What it takes to measure the pushes of a step while they are merged: the step, in this process,
// against the same one without.

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/thread_pool.h"
#include "core/codec/dense.h"
#include "core/store/block.h"
#include "tests/benchmarks/figure.h"
#include "tests/benchmarks/step_worker.h"
#include "tests/support/replayed_engine.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

constexpr int kPushesAStep = 2;

// A push in chunks as large as they may be.
std::shared_ptr<const StagedPush> StagedWith(v1::Encoding encoding,
                                             const std::vector<float>& gradient) {
  auto push = std::make_shared<StagedPush>(v1::PushHeader(), VectorLayout(kLargeElements));
  const int64_t unit = DenseElementBytes(encoding);
  for (int64_t at = 0; at < kLargeElements; at += kBlockElements) {
    const int64_t count = std::min(kBlockElements, kLargeElements - at);
    auto bytes = std::make_shared<std::vector<std::byte>>(static_cast<size_t>(count * unit));
    EncodeDense(encoding, gradient.data() + at, count, bytes->data());
    v1::ParameterChunk chunk;
    chunk.set_offset(at);
    chunk.set_encoding(encoding);
    const Payload::Slice slice(bytes->data(), bytes->size());
    const absl::Status added = push->Add(chunk, Payload({slice}, std::move(bytes)));
    if (!added.ok()) Fail(added.ToString());
  }
  return push;
}

// Steps of one run, all of the same pushes.
class MeasuredSteps {
 public:
  explicit MeasuredSteps(v1::Encoding encoding)
      // The calling thread works too.
      : engine_(kBlockElements, std::make_unique<ThreadPool>(static_cast<int>(
                                    std::max(1U, std::thread::hardware_concurrency() - 1)))) {
    v1::Run& spec = *event_.mutable_created()->mutable_spec();
    spec = SynchronousSpec(kLargeElements, kPushesAStep);
    spec.mutable_optimizer()->mutable_adam();
    engine_.Append(event_, {});
    std::vector<float> gradient = Gradient(kLargeElements);
    for (int worker = 0; worker < kPushesAStep; ++worker) {
      pushes_.push_back(StagedWith(encoding, gradient));
      std::reverse(gradient.begin(), gradient.end());
    }
  }

  // Returns how long it took, in seconds.
  double Make(WantedMeasurements wanted) {
    engine_.SetWanted(wanted);
    state::v1::StepDecision& step = *event_.mutable_step();
    step.Clear();
    step.set_step(engine_.step() + 1);
    step.set_learning_rate(1e-3);
    step.set_learning_rate_without_warm_up(1e-3);
    step.set_momentum(-1);
    for (int worker = 0; worker < kPushesAStep; ++worker) {
      state::v1::DecidedPush& used = *step.add_used();
      used.set_worker(absl::StrCat(worker));
      used.set_examples(1);
      used.set_coefficient(1.0F / kPushesAStep);
    }
    engine_.Append(event_, pushes_);
    if (!engine_.fault().empty()) Fail(engine_.fault());
    if (engine_.measured().has_value() != wanted.any()) Fail("no room to measure");
    return absl::ToDoubleSeconds(engine_.statistics().apply_time);
  }

 private:
  ReplayedEngine engine_;
  state::v1::Event event_;
  std::vector<std::shared_ptr<const StagedPush>> pushes_;
};

void MeasureEncoding(const Settings& settings, const std::string& name, v1::Encoding encoding) {
  MeasuredSteps steps(encoding);
  WantedMeasurements agreement;
  agreement.with_mean = true;
  std::vector<double> plain;
  std::vector<double> measured;
  const int warm_up = 2;
  for (int round = 0; round < warm_up + settings.rounds(); ++round) {
    const double without = steps.Make({});
    const double with = steps.Make(agreement);
    if (round < warm_up) continue;
    plain.push_back(without);
    measured.push_back(with);
  }
  Print(absl::StrCat(name, "_ms"), Median(plain) * 1e3, "ms");
  Print(absl::StrCat("measured_", name, "_over_unmeasured"), Median(measured) / Median(plain), "x");
}

}  // namespace

void MeasureMeasurements(const Settings& settings) {
  MeasureEncoding(settings, "merge", v1::ENCODING_FLOAT32);
  MeasureEncoding(settings, "bf16_merge", v1::ENCODING_BFLOAT16);
}

}  // namespace gradd

// What happens where the machine has no memory left, whichever allocation it is that fails: of what
// creates a run, changes it, gives it a window and makes its steps, each in turn, alone or with all
// that come after it. A run is made or refused, a change too, a step waits or its push is refused;
// and whatever was refused has left no trace.
//
// Only allocations of at least some KiB fail, see Case: blocks of parameters, slots and windows,
// what optimizers keep for whole tensors and work in, copies for an undo, and where there are many
// tensors, groups or blocks, what is known of each. Not those of protobuf and of containers that
// are as small as a run's name, which all code makes anywhere; nor those that stage a push, which
// happen in the stream that sends it.

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <future>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/support/allocation_watch.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/update.h"
#include "tests/support/virtual_executor.h"

namespace gradd {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using Which = AllocationFailure::Which;

constexpr std::array kBothWays = {Which::kOne, Which::kFromThenOn};

using Claims = std::array<int64_t, kMemoryUses>;
using Shapes = std::vector<std::vector<int64_t>>;

// What a run is made of, and so which of its allocations are large.
enum class Size {
  kBlocks,   // Matrices, one of them in four dimensions, a vector and a scalar, in small blocks.
  kTensors,  // So many of them that what a plan knows of each takes a page.
  kGroups,   // The same, in two groups whose tensors take turns.
  kPages,    // Large blocks, in pairs on a huge page.
  kLists,    // So many blocks that the lists of them are larger than one.
};

struct Case {
  const char* optimizer;
  Size size = Size::kBlocks;

  Shapes shapes() const {
    switch (size) {
      case Size::kBlocks:
        return {{40, 33}, {48, 35}, {5, 3, 7, 20}, {2600}, {}};
      case Size::kTensors:
      case Size::kGroups:
        return Shapes(300, {3, 5});
      case Size::kPages:
        return {{2 * kBlockElements + 70'000}};
      case Size::kLists:
        return {{2200 * kTileElements}};
    }
    return {};
  }
  int64_t block_elements() const { return size == Size::kPages ? kBlockElements : kTileElements; }
  // Of those that fail.
  size_t least_bytes() const {
    return size == Size::kLists ? kTileElements * sizeof(float) + 1 : 4096;
  }
  v1::Run SpecWith(const std::string& with) const;
  v1::Run Spec() const { return SpecWith(optimizer); }
};

v1::Run Case::SpecWith(const std::string& with) const {
  v1::Run spec;
  for (const std::vector<int64_t>& shape : shapes()) {
    v1::Tensor& tensor = *spec.mutable_layout()->add_tensors();
    tensor.set_name(std::to_string(spec.layout().tensors_size()));
    for (const int64_t side : shape) tensor.add_shape(side);
    tensor.mutable_initializer()->set_constant(1);
  }
  if (size == Size::kGroups) {
    v1::ParameterGroup& even = *spec.add_groups();
    even.set_pattern(".*[02468]");
    even.mutable_optimizer()->mutable_sgd();
  }
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(with, spec.mutable_optimizer()));
  spec.mutable_schedule()->set_learning_rate(0.01);
  spec.mutable_policy()->mutable_synchronous()->set_workers(1);
  spec.mutable_lease_duration()->set_seconds(3600);
  return spec;
}

std::ostream& operator<<(std::ostream& out, const Case& row) {
  return out << row.optimizer << " of size " << static_cast<int>(row.size);
}

// A server without threads: what is to happen later happens in Settle().
class Server {
 public:
  explicit Server(const Case& of) {
    auto executor = std::make_unique<VirtualExecutor>(/*seed=*/1);
    executor_ = executor.get();
    registry_ =
        std::make_unique<RunRegistry>(Limits(), std::move(executor), &clock_, of.block_elements());
  }

  void Settle() { executor_->RunAll(); }
  // Lets so much time pass that nothing is kept for later use.
  void Rest() {
    for (int i = 0; i < 3; ++i) {
      clock_.Advance(absl::Seconds(6));
      registry_->Tick();
      Settle();
    }
  }
  Claims TakenBytes() const {
    Claims claims;
    for (const MemoryUse use : kAllMemoryUses) {
      claims[static_cast<size_t>(use)] = registry_->budget().taken_bytes(use);
    }
    return claims;
  }
  RunRegistry* registry() { return registry_.get(); }

 private:
  FakeClock clock_;
  std::unique_ptr<RunRegistry> registry_;
  VirtualExecutor* executor_ = nullptr;
};

// A run on a server of its own, with its worker.
class Trained {
 public:
  Trained(const Case& of, const v1::Run& spec) : server_(of), run_(Create(&server_, spec)) {
    Join();
  }

  static std::shared_ptr<gradd::Run> Create(Server* server, const v1::Run& spec) {
    auto run = server->registry()->Create("r", spec, "");
    EXPECT_TRUE(run.ok()) << run.status();
    return *std::move(run);
  }

  // Stages the next push, all but its end. Its numbers depend on its sequence alone, but for the
  // first one where that is given.
  void BeginPush(float first = 0) {
    ++sequence_;
    const int64_t elements = run_->Describe(gradd::Run::Detail::kSummary).parameter_count();
    auto values = std::make_shared<std::vector<float>>(static_cast<size_t>(elements));
    auto number = static_cast<uint32_t>(sequence_);
    for (float& value : *values) {
      number = number * 1664525 + 1013904223;
      value = static_cast<float>(static_cast<int32_t>(number)) * 0x1p-31F;
    }
    if (first != 0) values->front() = first;
    constexpr int64_t kChunk = int64_t{1} << 17;
    for (int64_t at = 0; at < elements; at += kChunk) {
      v1::TrainRequest request;
      v1::Push& push = *request.mutable_push();
      if (at == 0) {
        push.mutable_header()->set_sequence(sequence_);
        push.mutable_header()->set_base_step(run_->Progress().step());
        push.mutable_header()->set_examples(1);
        push.mutable_header()->set_loss(1);
      }
      push.mutable_chunk()->set_offset(at);
      const int64_t count = std::min(kChunk, elements - at);
      const Payload::Slice slice(reinterpret_cast<const std::byte*>(values->data() + at),
                                 static_cast<size_t>(count) * sizeof(float));
      worker_->Request(std::move(request), Payload({slice}, values));
    }
  }
  void EndPush(bool want_parameters = false) {
    v1::TrainRequest request;
    request.mutable_push()->mutable_commit()->set_want_parameters(want_parameters);
    worker_->Request(std::move(request));
    Settle();
  }
  // The push is to be sent again, under its sequence.
  void ForgetPush() { --sequence_; }
  // The last answer; none yet: unspecified.
  v1::PushOutcome Answer() {
    const std::vector<v1::PushResult> results = worker_->results();
    if (results.size() == answers_) return v1::PUSH_OUTCOME_UNSPECIFIED;
    EXPECT_EQ(results.size(), answers_ + 1);
    answers_ = results.size();
    return results.back().outcome();
  }
  void Push() {
    BeginPush();
    EndPush();
    EXPECT_THAT(Answer(), AnyOf(v1::PUSH_OUTCOME_APPLIED, v1::PUSH_OUTCOME_ACCUMULATED));
  }
  void Pushes(int count) {
    for (int i = 0; i < count; ++i) Push();
  }

  std::future<absl::StatusOr<v1::Run>> BeginChange(const std::string& path, const v1::Run& values) {
    google::protobuf::FieldMask mask;
    mask.add_paths(path);
    auto answer = BeginUpdate(run_.get(), values, mask);
    Settle();
    return answer;
  }
  absl::Status Change(const std::string& path, const v1::Run& values) {
    auto answer = BeginChange(path, values);
    return IsAnswered(answer) ? answer.get().status() : absl::UnknownError("no answer");
  }

  // Of parameters, slots, and the last step's norms.
  std::string Bits() {
    std::string bits;
    const auto append = [&bits](const BlockVector& blocks) {
      for (const BlockRef& block : blocks) {
        if (!block) continue;
        bits.append(reinterpret_cast<const char*>(block.data()),
                    static_cast<size_t>(block.elements()) * sizeof(float));
      }
    };
    const auto snapshot = Snapshot();
    append(snapshot->parameters);
    for (const SnapshotSlot& slot : snapshot->slots) append(slot.blocks);
    const v1::RunProgress progress = run_->Progress();
    for (const double number : {progress.gradient_norm(), progress.update_norm(),
                                progress.parameter_norm(), static_cast<double>(progress.step())}) {
      bits.append(reinterpret_cast<const char*>(&number), sizeof(number));
    }
    return bits;
  }
  std::shared_ptr<const gradd::Snapshot> Snapshot() {
    std::shared_ptr<const gradd::Snapshot> taken;
    run_->RequestSnapshot(SnapshotContents::kAll, [&](const auto& snapshot) { taken = snapshot; });
    return taken;
  }
  Claims TakenBytes() {
    server_.Rest();
    return server_.TakenBytes();
  }
  v1::RunProgress Progress() const { return run_->Progress(); }
  void Settle() { server_.Settle(); }
  void Rest() { server_.Rest(); }

 private:
  void Join() {
    worker_ = std::make_unique<FakeWorker>(server_.registry(), "r", "w");
    v1::TrainRequest request;
    request.mutable_join()->set_run("runs/r");
    request.mutable_join()->set_worker("w");
    request.mutable_join()->add_parameter_encodings(v1::ENCODING_BFLOAT16);
    worker_->Request(std::move(request));
    Settle();
  }

  Server server_;
  std::shared_ptr<gradd::Run> run_;
  std::unique_ptr<FakeWorker> worker_;
  int64_t sequence_ = 0;
  size_t answers_ = 0;
};

std::string NameOf(Which which, int64_t before) {
  return (which == Which::kOne ? "only allocation " : "from allocation ") + std::to_string(before);
}

// Attempts the same again and again, and each time another of its large allocations fails, until
// there is none left: that attempt goes undisturbed. `attempt` is given a function that does in
// disturbance what it is given.
template <typename Attempt>
void ForEachAllocation(const Case& of, Which which, const Attempt& attempt) {
  for (int64_t before = 0;; ++before) {
    SCOPED_TRACE(testing::Message() << of << ", " << NameOf(which, before));
    int64_t failed = 0;
    attempt([&](const auto& disturbed) {
      const AllocationFailure failure(of.least_bytes(), before, which);
      disturbed();
      failed = AllocationFailure::count();
    });
    if (failed == 0 || testing::Test::HasFatalFailure()) return;
  }
}

// That memory was missing, and nothing else.
void ExpectRefusedForMemory(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(ReasonOf(status), "OUT_OF_MEMORY") << status;
}

std::vector<Case> Cases() {
  return {{"sgd {}"},
          {"adam {}"},
          {"adafactor {}"},
          {"muon {}"},
          {"shampoo {}"},
          {"adam { } clip_by_global_norm: 1 look_ahead {} parameter_average {}"},
          {"muon {} accumulation_steps: 2"},
          {"prodigy {}", Size::kTensors},
          {"muon {} clip_by_global_norm: 1", Size::kTensors},
          {"adam {}", Size::kGroups},
          {"adam {}", Size::kPages},
          {"momentum {}", Size::kLists}};
}

class MissingMemoryTest : public testing::TestWithParam<Case> {};

TEST_P(MissingMemoryTest, ARunIsCreatedOrRefused) {
  const v1::Run spec = GetParam().Spec();
  for (const Which which : kBothWays) {
    int64_t refused = 0;
    ForEachAllocation(GetParam(), which, [&](const auto& disturb) {
      Server server(GetParam());
      const Claims nothing = server.TakenBytes();
      absl::Status status;
      disturb([&] { status = server.registry()->Create("r", spec, "").status(); });
      if (status.ok()) return;
      ++refused;
      ExpectRefusedForMemory(status);
      server.Rest();
      EXPECT_EQ(server.TakenBytes(), nothing);
      EXPECT_EQ(server.registry()->Find("runs/r").status().code(), absl::StatusCode::kNotFound);
      // And then it can be.
      EXPECT_TRUE(server.registry()->Create("r", spec, "").ok());
    });
    EXPECT_GT(refused, 3);
  }
}

// What a run is to be like in the end.
struct Outcome {
  explicit Outcome(Trained* run) : bits(run->Bits()), claims(run->TakenBytes()) {}
  std::string bits;
  Claims claims;
};
void ExpectLike(const Outcome& expected, Trained* run) {
  EXPECT_TRUE(run->Bits() == expected.bits);
  EXPECT_EQ(run->TakenBytes(), expected.claims);
}

// A change of `path` from `before` to the values of `after`, after a push and before two. Returns
// how many were refused, of those where an allocation failed in a way.
int64_t RefusedChanges(const Case& of, Which which, const v1::Run& before, const std::string& path,
                       const v1::Run& after) {
  Trained unchanged(of, before);
  unchanged.Pushes(1);
  const Outcome refused_at_once(&unchanged);
  unchanged.Pushes(2);
  const Outcome as_before(&unchanged);
  Trained changed(of, before);
  changed.Pushes(1);
  EXPECT_TRUE(changed.Change(path, after).ok());
  changed.Pushes(2);
  const Outcome as_changed(&changed);
  int64_t refused = 0;
  ForEachAllocation(of, which, [&](const auto& disturb) {
    Trained run(of, before);
    run.Pushes(1);
    std::future<absl::StatusOr<v1::Run>> answer;
    disturb([&] { answer = run.BeginChange(path, after); });
    if (!IsAnswered(answer)) run.Rest();  // It comes a little later.
    ASSERT_TRUE(IsAnswered(answer));
    const absl::Status status = answer.get().status();
    if (status.ok()) {
      run.Pushes(2);
      ExpectLike(as_changed, &run);
      return;
    }
    ++refused;
    ExpectRefusedForMemory(status);
    ExpectLike(refused_at_once, &run);
    run.Pushes(2);
    ExpectLike(as_before, &run);
    // And then it can be.
    EXPECT_TRUE(run.Change(path, after).ok());
    run.Pushes(2);
    EXPECT_EQ(run.TakenBytes(), as_changed.claims);
  });
  return refused;
}

// What a run of SGD becomes.
TEST_P(MissingMemoryTest, AChangeComesIntoEffectOrIsRefused) {
  for (const Which which : kBothWays) {
    RefusedChanges(GetParam(), which, GetParam().SpecWith("sgd {}"), "optimizer",
                   GetParam().Spec());
  }
}

TEST_P(MissingMemoryTest, AWindowIsTurnedOnOrRefused) {
  v1::Run spec = GetParam().Spec();
  spec.mutable_optimizer()->clear_accumulation_steps();
  v1::Run wider;
  wider.mutable_optimizer()->set_accumulation_steps(2);
  for (const Which which : kBothWays) {
    EXPECT_GT(RefusedChanges(GetParam(), which, spec, "optimizer.accumulation_steps", wider), 3);
  }
}

// Somebody reads the parameters, so that a step writes elsewhere; and its worker takes the new ones
// block by block, in bfloat16.
TEST_P(MissingMemoryTest, AStepIsMadeAtOnceOrLater) {
  const v1::Run spec = GetParam().Spec();
  const auto begin = [](Trained* run) {
    run->Pushes(2);
    auto reader = run->Snapshot();
    run->BeginPush();
    return reader;
  };
  Trained reference(GetParam(), spec);
  {
    const auto reader = begin(&reference);
    reference.EndPush(/*want_parameters=*/true);
    reference.Answer();
    reference.Pushes(1);
  }
  const Outcome made(&reference);
  for (const Which which : kBothWays) {
    int64_t waited = 0;
    ForEachAllocation(GetParam(), which, [&](const auto& disturb) {
      Trained run(GetParam(), spec);
      {
        const auto reader = begin(&run);
        disturb([&] { run.EndPush(/*want_parameters=*/true); });
        v1::PushOutcome outcome = run.Answer();
        if (outcome == v1::PUSH_OUTCOME_UNSPECIFIED) {
          ++waited;
          run.Rest();
          outcome = run.Answer();
        }
        ASSERT_THAT(outcome, AnyOf(v1::PUSH_OUTCOME_APPLIED, v1::PUSH_OUTCOME_ACCUMULATED));
        run.Pushes(1);
      }
      ExpectLike(made, &run);
    });
    // A window's push needs no memory, nor does a change of one block that nobody else reads.
    const bool folds = spec.optimizer().accumulation_steps() > 1;
    if (which == Which::kFromThenOn && !folds) {
      EXPECT_GT(waited, 0);
    }
  }
}

// Its result is not known to be finite: all that it changes is kept until it is.
TEST_P(MissingMemoryTest, AStepThatMightHaveToBeUndoneIsMadeOrItsPushIsRefused) {
  constexpr float kHuge = 1e13F;
  const v1::Run spec = GetParam().Spec();
  if (spec.optimizer().accumulation_steps() > 1) return;  // A window takes that one as it comes.
  Trained taken(GetParam(), spec);
  taken.Pushes(1);
  taken.BeginPush(kHuge);
  taken.EndPush();
  ASSERT_EQ(taken.Answer(), v1::PUSH_OUTCOME_APPLIED);
  taken.Pushes(1);
  const Outcome made(&taken);
  Trained other(GetParam(), spec);
  other.Pushes(2);
  const Outcome without(&other);
  for (const Which which : kBothWays) {
    int64_t refused = 0;
    ForEachAllocation(GetParam(), which, [&](const auto& disturb) {
      Trained run(GetParam(), spec);
      run.Pushes(1);
      run.BeginPush(kHuge);
      disturb([&] { run.EndPush(); });
      const v1::PushOutcome outcome = run.Answer();
      if (outcome == v1::PUSH_OUTCOME_REJECTED) {
        ++refused;
        run.ForgetPush();
      } else {
        ASSERT_EQ(outcome, v1::PUSH_OUTCOME_APPLIED);
      }
      run.Pushes(1);
      ExpectLike(outcome == v1::PUSH_OUTCOME_REJECTED ? without : made, &run);
    });
    if (which == Which::kFromThenOn) {
      EXPECT_GT(refused, 0);
    }
  }
}

// As AStepThatMightHaveToBeUndoneIsMadeOrItsPushIsRefused, where it must be: squares of these are
// not finite. Where not even the undo finds memory, the run stands still and says why.
TEST(MissingMemoryForUndoTest, AStepThatIsNotFiniteIsUndoneOrTheRunPauses) {
  for (const Case& row : {Case{"ada_grad {}"}, Case{"ada_grad {}", Size::kLists}}) {
    const v1::Run spec = row.Spec();
    Trained other(row, spec);
    other.Pushes(2);
    const Outcome without(&other);
    for (const Which which : kBothWays) {
      v1::PushOutcome outcome = v1::PUSH_OUTCOME_UNSPECIFIED;
      ForEachAllocation(row, which, [&](const auto& disturb) {
        Trained run(row, spec);
        run.Pushes(1);
        run.BeginPush(3e38F);
        disturb([&] { run.EndPush(); });
        outcome = run.Answer();
        if (outcome == v1::PUSH_OUTCOME_REJECTED) {
          run.ForgetPush();
          run.Pushes(1);
          ExpectLike(without, &run);
        } else {
          ASSERT_EQ(outcome, v1::PUSH_OUTCOME_APPLIED);
          EXPECT_THAT(run.Progress().reason(), HasSubstr("are not finite after step 2"));
        }
      });
      EXPECT_EQ(outcome, v1::PUSH_OUTCOME_REJECTED) << row;  // Where no allocation fails.
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Table, MissingMemoryTest, testing::ValuesIn(Cases()),
                         [](const auto& row) { return std::to_string(row.index); });

}  // namespace
}  // namespace gradd

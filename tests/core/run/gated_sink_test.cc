#include "core/run/gated_sink.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <memory>

#include "tests/support/recording_sink.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Whose events become durable when a test says so.
class SlowLog final : public EventLog {
 public:
  void Append(const state::v1::Event& /*event*/, Pushes /*pushes*/) override {}
  int64_t durable() const override { return durable_; }
  absl::Status failure() const override { return failure_; }
  void SetDurable(int64_t event) { durable_ = event; }
  void Fail() { failure_ = absl::InternalError("the disk"); }

 private:
  int64_t durable_ = 0;
  absl::Status failure_;
};

class GatedSinkTest : public testing::Test {
 protected:
  GatedSinkTest() {
    state::v1::Event event;
    const char text[] =
        "number: 1 created { uid: 'f00d' spec { name: 'runs/r' optimizer { sgd {} } schedule { "
        "learning_rate: 0.5 } policy { synchronous { workers: 1 } } } }";
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &event));
    record_.Apply(event);
  }
  std::shared_ptr<GatedSink> Make(bool parameters_before_result) {
    return std::make_shared<GatedSink>(&peer_, &gate_, &record_, parameters_before_result);
  }
  static v1::TrainResponse Applied() {
    v1::TrainResponse response;
    response.mutable_push_result()->set_sequence(7);
    response.mutable_push_result()->set_outcome(v1::PUSH_OUTCOME_APPLIED);
    response.mutable_push_result()->set_step(3);
    response.mutable_push_result()->set_parameters_follow(true);
    return response;
  }
  static v1::TrainResponse Finished() {
    v1::TrainResponse response;
    response.mutable_event()->set_kind(v1::RUN_EVENT_KIND_FINISHED);
    return response;
  }
  static std::shared_ptr<const Snapshot> Parameters() {
    auto snapshot = std::make_shared<Snapshot>();
    snapshot->step = 3;
    return snapshot;
  }
  void Open() {
    log_->SetDurable(1);
    for (const auto& due : gate_.Serve()) due();
  }

  const std::shared_ptr<SlowLog> log_ = std::make_shared<SlowLog>();
  DurableGate gate_{log_};
  RunRecord record_;
  RecordingSink peer_;
};

TEST_F(GatedSinkTest, NothingIsSaidBeforeItsEventsAreDurable) {
  const auto sink = Make(/*parameters_before_result=*/false);
  sink->Send(Applied());
  sink->SendParameters(Parameters(), v1::ENCODING_FLOAT32);
  EXPECT_THAT(peer_.Take(), IsEmpty());
  Open();
  EXPECT_THAT(peer_.Take(), ElementsAre("result 7 APPLIED at step 3, parameters follow",
                                        "parameters of step 3 in ENCODING_FLOAT32"));
}

TEST_F(GatedSinkTest, ParametersThatOvertakeTheirResultDoNotFollowIt) {
  const auto sink = Make(/*parameters_before_result=*/true);
  sink->Send(Applied());
  sink->SendParameters(Parameters(), v1::ENCODING_FLOAT32);
  EXPECT_THAT(peer_.Take(), ElementsAre("parameters of step 3 in ENCODING_FLOAT32"));
  Open();
  EXPECT_THAT(peer_.Take(), ElementsAre("result 7 APPLIED at step 3"));
  sink->Send(Applied());
  sink->SendParameters(Parameters(), v1::ENCODING_FLOAT32);
  EXPECT_THAT(peer_.Take(), ElementsAre("result 7 APPLIED at step 3, parameters follow",
                                        "parameters of step 3 in ENCODING_FLOAT32"));
}

TEST_F(GatedSinkTest, TheyOvertakeNothingElse) {
  const auto sink = Make(/*parameters_before_result=*/true);
  sink->Send(Applied());
  sink->Send(Finished());
  sink->SendParameters(Parameters(), v1::ENCODING_FLOAT32);
  EXPECT_THAT(peer_.Take(), IsEmpty());
  Open();
  EXPECT_THAT(peer_.Take(), ElementsAre("result 7 APPLIED at step 3, parameters follow",
                                        "event RUN_EVENT_KIND_FINISHED at step 0",
                                        "parameters of step 3 in ENCODING_FLOAT32"));
}

// Also a stream whose end was waiting, and what is said when nobody serves the gate any more.
TEST_F(GatedSinkTest, WhereTheLogFailsTheStreamIsGivenUpWithWhy) {
  for (const bool before : {true, false}) {
    const auto sink = Make(/*parameters_before_result=*/false);
    if (before) sink->End(absl::OkStatus());
    log_->Fail();
    for (const auto& due : gate_.Serve()) due();
    if (!before) sink->Send(Applied());
    EXPECT_THAT(peer_.Take(), ElementsAre("abandon: the disk"));
    sink->Send(Finished());
    EXPECT_THAT(peer_.Take(), IsEmpty());
  }
}

}  // namespace
}  // namespace gradd

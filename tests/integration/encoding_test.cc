#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "client/session.h"
#include "core/base/error.h"
#include "core/base/mutex.h"
#include "core/codec/dense.h"
#include "core/run/run_registry.h"
#include "server/server.h"
#include "tests/support/flaky_proxy.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Kind = PushEncoding::Kind;

constexpr int64_t kEncodedElements = kBlockElements + 12'345;

class EncodingTest : public testing::Test {
 protected:
  SessionOptions Options(const std::string& run) const {
    SessionOptions options;
    options.server = server_->grpc_address();
    options.run = run;
    options.worker = "a";
    options.initial_backoff = absl::Milliseconds(2);
    options.maximum_backoff = absl::Milliseconds(50);
    options.give_up_after = absl::Seconds(30);
    return options;
  }
  void Create(const std::string& run, const v1::Run& spec) {
    ASSERT_TRUE(server_->registry()->Create(run, spec, "").ok());
  }
  static ServerOptions TestOptions() {
    ServerOptions options;
    options.listen = "127.0.0.1:0";
    options.http = "";
    options.drain = absl::Seconds(5);
    return options;
  }
  const std::unique_ptr<Server> server_ = *Server::Start(TestOptions());
};

std::vector<float> Gradient(int64_t push) {
  std::vector<float> gradient(kEncodedElements);
  for (size_t i = 0; i < gradient.size(); ++i) {
    gradient[i] =
        static_cast<float>((i * 7919 + static_cast<size_t>(push) * 104'729) % 10'007) / 5000 - 1;
  }
  return gradient;
}

// One step of plain gradient descent with learning rate 1 from zeros.
TEST_F(EncodingTest, TheStepIsTheGradientAsItsEncodingWritesIt) {
  const std::vector<float> gradient = Gradient(1);
  for (const Kind kind : {Kind::kFloat32, Kind::kBfloat16, Kind::kFloat16, Kind::kInt8}) {
    SCOPED_TRACE(static_cast<int>(kind));
    const std::string run = "r" + std::to_string(static_cast<int>(kind));
    Create(run, SynchronousSpec(kEncodedElements, 1));
    SessionOptions options = Options(run);
    options.push_encoding.kind = kind;
    const auto session = *Session::Open(options);
    std::vector<float> parameters(kEncodedElements);
    const auto report = session->Push({0, 1, 0}, gradient, absl::MakeSpan(parameters)).get();
    ASSERT_TRUE(report.ok()) << report.status();
    std::vector<float> expected = gradient;
    if (kind != Kind::kInt8) {
      const v1::Encoding encoding = WireEncoding(kind);
      std::vector<std::byte> bytes(
          static_cast<size_t>(kEncodedElements * DenseElementBytes(encoding)));
      EncodeDense(encoding, gradient.data(), kEncodedElements, bytes.data());
      DecodeDense(encoding, bytes.data(), kEncodedElements, expected.data());
    }
    const float tolerance = kind == Kind::kInt8 ? 1.02F / 127 : 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(parameters[i], -expected[i], tolerance) << i;
    }
  }
}

TEST_F(EncodingTest, SparsePushesSendTheirFractionOfTheGradient) {
  for (const Kind kind : {Kind::kTopK, Kind::kRandomK}) {
    const std::string run = kind == Kind::kTopK ? "top" : "random";
    Create(run, SynchronousSpec(kEncodedElements, 1));
    SessionOptions options = Options(run);
    options.push_encoding.kind = kind;
    options.push_encoding.fraction = 0.1;
    const auto session = *Session::Open(options);
    const std::vector<float> gradient = Gradient(1);
    std::vector<float> parameters(kEncodedElements);
    ASSERT_TRUE(session->Push({0, 1, 0}, gradient, absl::MakeSpan(parameters)).get().ok());
    const auto zeros = std::count(parameters.begin(), parameters.end(), 0.0F);
    EXPECT_NEAR(static_cast<double>(zeros), 0.9 * kEncodedElements, 0.001 * kEncodedElements);
    for (size_t i = 0; i < parameters.size(); ++i) {
      ASSERT_TRUE(parameters[i] == 0 || parameters[i] == -gradient[i]) << i;
    }
  }
}

TEST_F(EncodingTest, RowsThatArePushedAreUpdatedAndNoOthers) {
  constexpr int64_t kWidth = 100;
  v1::Run spec = SynchronousSpec(kEncodedElements, 1);
  *spec.mutable_layout() = MatrixLayout(kEncodedElements / kWidth, kWidth).message();
  spec.mutable_layout()->mutable_tensors(0)->mutable_initializer()->set_constant(1);
  spec.mutable_optimizer()->mutable_adam();
  spec.mutable_optimizer()->set_weight_decay(0.5);
  Create("r", spec);
  SessionOptions options = Options("r");
  options.push_encoding.kind = Kind::kRows;
  const auto session = *Session::Open(options);
  std::vector<float> gradient(kEncodedElements / kWidth * kWidth);
  for (size_t row : {0, 7, 8, 500, 999}) gradient[row * kWidth + row % kWidth] = 1;
  std::vector<float> parameters(gradient.size());
  for (int64_t step = 0; step < 3; ++step) {
    ASSERT_TRUE(session->Push({step, 1, 0}, gradient, absl::MakeSpan(parameters)).get().ok());
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    const size_t row = i / kWidth;
    const bool pushed = row == 0 || row == 7 || row == 8 || row == 500 || row == 999;
    ASSERT_EQ(parameters[i] != 1, pushed) << "row " << row;
  }
}

TEST_F(EncodingTest, ParametersComeInTheEncodingThatTheWorkerPrefers) {
  const std::vector<float> gradient = Gradient(1);
  for (const v1::Encoding encoding :
       {v1::ENCODING_FLOAT32, v1::ENCODING_BFLOAT16, v1::ENCODING_FLOAT16}) {
    const std::string run = "r" + std::to_string(static_cast<int>(encoding));
    Create(run, SynchronousSpec(kEncodedElements, 1));
    SessionOptions options = Options(run);
    options.parameter_encodings = {v1::ENCODING_INT8, encoding, v1::ENCODING_FLOAT32};
    const auto session = *Session::Open(options);
    std::vector<float> parameters(kEncodedElements);
    for (int64_t step = 0; step < 3; ++step) {
      ASSERT_TRUE(session->Push({step, 1, 0}, gradient, absl::MakeSpan(parameters)).get().ok());
    }
    std::vector<float> exact(kEncodedElements);
    ASSERT_EQ(*session->Pull(absl::MakeSpan(exact)), 3);
    std::vector<std::byte> bytes(
        static_cast<size_t>(kEncodedElements * DenseElementBytes(encoding)));
    EncodeDense(encoding, exact.data(), kEncodedElements, bytes.data());
    DecodeDense(encoding, bytes.data(), kEncodedElements, exact.data());
    EXPECT_EQ(parameters, exact) << v1::Encoding_Name(encoding);
  }
}

TEST_F(EncodingTest, ParametersBeyondFloat16ComeExactAndAreCounted) {
  Create("r", SynchronousSpec(kEncodedElements, 1));
  SessionOptions options = Options("r");
  options.parameter_encodings = {v1::ENCODING_FLOAT16};
  const auto session = *Session::Open(options);
  // 1.1 is no float16: the first block comes as it is, the second one rounded.
  std::vector<float> gradient(kEncodedElements, -1.1F);
  gradient[5] = -1e6F;
  std::vector<float> parameters(kEncodedElements);
  for (int64_t step = 0; step < 2; ++step) {
    ASSERT_TRUE(session->Push({step, 1, 0}, gradient, absl::MakeSpan(parameters)).get().ok());
  }
  EXPECT_EQ(parameters[5], 2e6F);
  EXPECT_EQ(parameters[6], 2.2F);
  EXPECT_NE(parameters.back(), 2.2F);
  EXPECT_NEAR(parameters.back(), 2.2F, 1e-3);
  const auto run = *server_->registry()->Find("runs/r");
  const v1::Run shown = run->Describe(gradd::Run::Detail::kWorkers);
  // One of the two blocks in each step.
  EXPECT_EQ(shown.progress().widened_chunks(), 2);
  EXPECT_EQ(shown.progress().saturated_values(), 0);
  ASSERT_EQ(shown.workers_size(), 1);
  EXPECT_EQ(shown.workers(0).widened_chunks(), 2);
}

TEST_F(EncodingTest, PushedValuesBeyondFloat16AreCountedOnBothSidesAndToldOnce) {
  Create("r", SynchronousSpec(kEncodedElements, 1));
  SessionOptions options = Options("r");
  options.push_encoding.kind = Kind::kFloat16;
  Mutex mutex;
  std::vector<std::string> lines;
  options.log = [&](const std::string& line) {
    MutexLock lock(&mutex);
    lines.push_back(line);
  };
  const auto session = *Session::Open(options);
  std::vector<float> gradient(kEncodedElements, 1);
  for (const size_t at : {size_t{5}, size_t{7}, gradient.size() - 1}) gradient[at] = 1e6F;
  std::vector<float> parameters(kEncodedElements);
  for (int64_t step = 0; step < 2; ++step) {
    ASSERT_TRUE(session->Push({step, 1, 0}, gradient, absl::MakeSpan(parameters)).get().ok());
  }
  EXPECT_EQ(parameters[5], -2 * 65504.0F);
  EXPECT_EQ(session->saturated_elements(), 6);
  {
    MutexLock lock(&mutex);
    EXPECT_THAT(lines,
                ElementsAre(HasSubstr("push 1: 3 elements are beyond the range of FLOAT16")));
  }
  const auto run = *server_->registry()->Find("runs/r");
  const v1::Run shown = run->Describe(gradd::Run::Detail::kWorkers);
  EXPECT_EQ(shown.progress().saturated_values(), 6);
  ASSERT_EQ(shown.workers_size(), 1);
  EXPECT_EQ(shown.workers(0).saturated_values(), 6);
  EXPECT_EQ(shown.workers(0).widened_chunks(), 0);
}

TEST_F(EncodingTest, AWorkerThatTakesNoEncodingOfTheServerIsRefused) {
  Create("r", SynchronousSpec(1, 1));
  SessionOptions options = Options("r");
  options.parameter_encodings = {v1::ENCODING_INT8, v1::ENCODING_SPARSE};
  const auto session = Session::Open(options);
  EXPECT_EQ(session.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(session.status()), "ENCODING_UNSUPPORTED");
  EXPECT_THAT(session.status().message(),
              HasSubstr("parameter_encodings: ENCODING_INT8 (4) and 1 more, expected at "
                        "least one of FLOAT32, BFLOAT16 and FLOAT16"));
}

// The parameters after some pushes, over a connection that may break in the middle of them.
std::vector<float> Train(const SessionOptions& options, FlakyProxy* proxy) {
  constexpr int64_t kPushes = 12;
  const auto session = *Session::Open(options);
  std::vector<float> parameters(kEncodedElements);
  for (int64_t push = 0; push < kPushes; ++push) {
    const std::vector<float> gradient = Gradient(push);
    if (proxy != nullptr) {
      proxy->CutAfter(3000 + 5003 * push);
      proxy->CutNow();
    }
    auto future = session->Push({push, 1, 0}, gradient, absl::MakeSpan(parameters));
    while (future.wait_for(std::chrono::milliseconds(30)) == std::future_status::timeout) {
      if (proxy != nullptr) proxy->CutAfter(0);
    }
    const auto report = future.get();
    EXPECT_TRUE(report.ok()) << report.status();
  }
  EXPECT_TRUE(proxy == nullptr || session->reconnects() >= kPushes);
  return parameters;
}

TEST_F(EncodingTest, PushesThatWereSentAgainLeadToTheSameBits) {
  for (const Kind kind :
       {Kind::kBfloat16, Kind::kFloat16, Kind::kInt8, Kind::kTopK, Kind::kRandomK, Kind::kRows}) {
    SCOPED_TRACE(static_cast<int>(kind));
    const std::string name = std::to_string(static_cast<int>(kind));
    Create("whole" + name, AsynchronousSpec(kEncodedElements));
    Create("broken" + name, AsynchronousSpec(kEncodedElements));
    SessionOptions options = Options("whole" + name);
    options.push_encoding.kind = kind;
    const std::vector<float> expected = Train(options, nullptr);
    FlakyProxy proxy(server_->grpc_address());
    options.run = "broken" + name;
    options.server = proxy.address();
    EXPECT_EQ(Train(options, &proxy), expected);
  }
}

TEST_F(EncodingTest, AGradientThatWasNotAppliedComesWithTheNextPush) {
  v1::Run spec = AsynchronousSpec(4);
  spec.mutable_policy()->mutable_asynchronous()->set_max_staleness(0);
  Create("r", spec);
  SessionOptions options = Options("r");
  options.push_encoding.kind = Kind::kTopK;
  options.push_encoding.fraction = 0.5;
  const auto session = *Session::Open(options);
  std::vector<float> parameters(4);
  const auto push = [&](const Session::PushInfo& info, const std::vector<float>& gradient) {
    return session->Push(info, gradient, absl::MakeSpan(parameters)).get();
  };
  ASSERT_TRUE(push({0, 1, 0}, {8, 7, 0, 0}).ok());
  EXPECT_THAT(parameters, ElementsAre(-8, -7, 0, 0));

  const auto stale = push({0, 1, 0}, {4, 3, 2, 1});
  ASSERT_TRUE(stale.ok()) << stale.status();
  EXPECT_EQ(stale->outcome, v1::PUSH_OUTCOME_STALE);
  const auto rejected = push({1, /*examples=*/0, 0}, {0, 0, 0, 0});
  EXPECT_EQ(ReasonOf(rejected.status()), "EXAMPLES_OUT_OF_RANGE");

  ASSERT_TRUE(push({1, 1, 0}, {0, 0, 0, 0}).ok());
  EXPECT_THAT(parameters, ElementsAre(-12, -10, 0, 0));
  ASSERT_TRUE(push({2, 1, 0}, {0, 0, 0, 0}).ok());
  EXPECT_THAT(parameters, ElementsAre(-12, -10, -2, -1));
}

TEST_F(EncodingTest, ASessionWithAFractionOutOfRangeIsRefused) {
  Create("r", SynchronousSpec(1, 1));
  SessionOptions options = Options("r");
  options.push_encoding.fraction = 0;
  EXPECT_THAT(Session::Open(options).status().message(),
              HasSubstr("push_encoding.fraction: 0 is outside (0, 1]"));
}

}  // namespace
}  // namespace gradd

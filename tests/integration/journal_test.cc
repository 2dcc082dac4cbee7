// Sessions of a run with a journal, whose parameters come before the results, over a server that
// is started again under them: with the real server and the real client.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/session.h"
#include "core/run/run_registry.h"
#include "server/server.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

constexpr int kJournalSteps = 12;

struct JournalCase {
  const char* name;
  int64_t elements;
  bool shared_memory;
};

class JournalTest : public testing::TestWithParam<JournalCase> {
 protected:
  JournalTest() {
    std::string pattern = testing::TempDir() + "/journal.XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }
  ~JournalTest() override {
    server_.reset();
    std::filesystem::remove_all(directory_);
  }

  void Start(bool keeps) {
    server_.reset();
    ServerOptions options;
    options.listen = "unix:" + directory_ + "/socket";  // The same one after a restart.
    options.http = "";
    options.drain = absl::Seconds(5);
    if (keeps) options.state_dir = directory_ + "/state";
    server_ = *Server::Start(options);
  }

  // The parameters after kJournalSteps steps of one worker, whose gradients depend on the
  // parameters; the server is started again after every `restart_every` of them, if it keeps the
  // run.
  std::vector<float> Train(int restart_every) {
    const bool keeps = restart_every > 0;
    Start(keeps);
    v1::Run spec = SynchronousSpec(GetParam().elements, 1);
    spec.set_journal(keeps);
    EXPECT_TRUE(server_->registry()->Create("r", spec, "").ok());
    SessionOptions options;
    options.server = server_->grpc_address();
    options.run = "r";
    options.worker = "w";
    options.shared_memory = GetParam().shared_memory;
    options.initial_backoff = absl::Milliseconds(2);
    options.maximum_backoff = absl::Milliseconds(50);
    const auto session = *Session::Open(options);
    std::vector<float> own_gradient(static_cast<size_t>(GetParam().elements));
    std::vector<float> own_parameters(own_gradient.size());
    const bool shared = GetParam().shared_memory;
    const absl::Span<float> gradient = shared ? session->gradient() : absl::MakeSpan(own_gradient);
    absl::Span<const float> parameters = own_parameters;
    if (shared) parameters = session->parameters();
    absl::StatusOr<int64_t> base =
        shared ? session->Pull() : session->Pull(absl::MakeSpan(own_parameters));
    for (int i = 1; i <= kJournalSteps && base.ok(); ++i) {
      for (size_t e = 0; e < gradient.size(); ++e) {
        gradient[e] = 0.1F * parameters[e] - static_cast<float>(e % 17);
      }
      auto answer = shared
                        ? session->Push({*base, 1, 0.5})
                        : session->Push({*base, 1, 0.5}, gradient, absl::MakeSpan(own_parameters));
      // While it is in flight: it was counted, or is sent again.
      if (keeps && i % restart_every == 0) Start(keeps);
      const absl::StatusOr<PushReport> report = answer.get();
      EXPECT_TRUE(report.ok()) << report.status();
      if (!report.ok()) break;
      EXPECT_EQ(report->outcome, v1::PUSH_OUTCOME_APPLIED);
      EXPECT_EQ(report->step, i);
      EXPECT_EQ(report->parameters_step, i);
      base = report->parameters_step;
    }
    EXPECT_EQ(session->reconnects() > 0, keeps);
    return {parameters.begin(), parameters.end()};
  }

  std::string directory_;
  std::unique_ptr<Server> server_;
};

TEST_P(JournalTest, AServerThatIsStartedAgainChangesNoBit) {
  const std::vector<float> undisturbed = Train(/*restart_every=*/0);
  const std::vector<float> restarted = Train(/*restart_every=*/3);
  EXPECT_TRUE(restarted == undisturbed);
}

INSTANTIATE_TEST_SUITE_P(
    Vectors, JournalTest,
    testing::Values(JournalCase{"few", 1000, false}, JournalCase{"few_shared", 1000, true},
                    JournalCase{"blocks", 5 * kBlockElements / 2, false},
                    JournalCase{"blocks_shared", 5 * kBlockElements / 2, true}),
    [](const auto& named) { return std::string(named.param.name); });

}  // namespace
}  // namespace gradd

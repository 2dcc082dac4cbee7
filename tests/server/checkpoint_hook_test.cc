#include "server/checkpoint_hook.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace gradd {
namespace {

class CheckpointHookTest : public testing::Test {
 protected:
  CheckpointHookTest() {
    std::string pattern = testing::TempDir() + "/hook.XXXXXX";
    directory_ = mkdtemp(pattern.data());
    said_ = directory_ + "/said";
  }
  ~CheckpointHookTest() override { std::filesystem::remove_all(directory_); }

  std::string Said() const {
    std::ifstream file(said_);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  std::string directory_;
  std::string said_;
};

TEST_F(CheckpointHookTest, ACommandGetsTheFileAndTheRun) {
  {
    CheckpointHook hook(absl::StrCat("echo \"$GRADD_RUN $1\" >> ", said_));
    hook.Run("r", "/a file");
  }
  EXPECT_EQ(Said(), "r /a file\n") << "also where the server stops meanwhile";
}

TEST_F(CheckpointHookTest, OneThatFailsIsNotTheLast) {
  {
    CheckpointHook hook(absl::StrCat("echo \"$1\" >> ", said_, "; exit 3"));
    hook.Run("a", "1");
    hook.Run("b", "2");
  }
  EXPECT_EQ(Said(), "1\n2\n");
}

TEST_F(CheckpointHookTest, OfARunOnlyTheNewestFileIsLeftWaiting) {
  const std::string go_on = directory_ + "/go";
  {
    CheckpointHook hook(absl::StrCat("echo \"$1\" >> ", said_, "; while [ ! -e ", go_on,
                                     " ]; do sleep 0.01; done"));
    hook.Run("r", "1");
    while (Said() != "1\n") absl::SleepFor(absl::Milliseconds(1));
    hook.Run("r", "2");
    hook.Run("r", "3");
    std::ofstream(go_on) << "now";
  }
  EXPECT_EQ(Said(), "1\n3\n");
}

TEST_F(CheckpointHookTest, OneThatHangsIsKilledWithAllThatItHasStarted) {
  {
    CheckpointHook hook(absl::StrCat("echo begun >> ", said_, "; sleep 1000 & wait"),
                        absl::Milliseconds(100));
    hook.Run("r", "1");
    while (Said().empty()) absl::SleepFor(absl::Milliseconds(1));
    hook.Run("r", "2");
  }
  EXPECT_EQ(Said(), "begun\n") << "the next one has not begun";
}

}  // namespace
}  // namespace gradd

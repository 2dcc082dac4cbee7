#include "ctl/outputs.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

namespace gradd::ctl {
namespace {

TEST(OutputsTest, OneFileIsNotWrittenTwice) {
  const std::string directory = testing::TempDir() + "outputs_" + std::to_string(getpid());
  std::filesystem::create_directory(directory);
  const auto outputs = Outputs::Open(directory + "/x", directory + "/./x");
  EXPECT_EQ(outputs.status().message(), "--svg and --csv are the same file");
  EXPECT_TRUE(std::filesystem::is_empty(directory));
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace gradd::ctl

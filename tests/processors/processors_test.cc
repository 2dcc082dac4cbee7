// Every optimizer, stage, encoding and inner product has the same bits whatever the processor.

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace gradd {
namespace {

// The lines that a command prints.
std::vector<std::string> LinesOf(const std::string& command) {
  std::FILE* const pipe = popen(command.c_str(), "r");
  std::string all;
  std::array<char, 4096> part;
  for (size_t size; (size = std::fread(part.data(), 1, part.size(), pipe)) > 0;) {
    all.append(part.data(), size);
  }
  EXPECT_EQ(pclose(pipe), 0) << command;
  std::vector<std::string> lines;
  std::istringstream in(all);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// A change of the code that is not meant to change results does not change a bit of them.
TEST(ProcessorsTest, GiveTheBitsThatWereWrittenDown) {
  std::ifstream file(GRADD_GOLDEN "/optimizer_bits.txt");
  std::vector<std::string> expected;
  for (std::string line; std::getline(file, line);) expected.push_back(line);
  const std::vector<std::string> lines = LinesOf(GRADD_OPTIMIZER_BITS);
  ASSERT_EQ(lines.size(), expected.size());
  for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i], expected[i]);
}

TEST(ProcessorsTest, GiveTheSameBits) {
  const std::string shipped = GRADD_OPTIMIZER_BITS;
  const std::vector<std::string> expected = LinesOf(shipped);
  ASSERT_GT(expected.size(), 100u);

  struct Build {
    const char* name;
    std::string command;
    bool runs_here;
  };
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi2");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  const Build builds[] = {
      {"SSE2", shipped + "_sse2", true},
      {"AVX2 with FMA", shipped + "_avx2_fma", avx2},
      {"AVX-512", shipped + "_avx512", avx512},
      // The C library picks functions by the processor too.
      {"the C library without AVX2 and FMA",
       "GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX512F " + shipped, true},
  };
  for (const Build& build : builds) {
    std::cout << build.name << ": " << (build.runs_here ? "compared" : "not on this processor")
              << std::endl;
    if (!build.runs_here) continue;
    const std::vector<std::string> lines = LinesOf(build.command);
    ASSERT_EQ(lines.size(), expected.size()) << build.name;
    for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i], expected[i]) << build.name;
  }
}

}  // namespace
}  // namespace gradd

#include "core/base/finite_number.h"

#include <gtest/gtest.h>

namespace gradd {
namespace {

TEST(ParseFiniteTest, TakesWhatADoubleHolds) {
  const struct {
    const char* text;
    double number;
  } kNumbers[] = {{"1", 1},           {"-0.5", -0.5}, {"1e308", 1e308}, {"0", 0}, {"-0.000e10", 0},
                  {"1e-310", 1e-310}, {" 2 ", 2},     {"1E3", 1000},    {"+3", 3}};
  for (const auto& [text, expected] : kNumbers) {
    double number = 7;
    EXPECT_TRUE(ParseFinite(text, &number)) << text;
    EXPECT_EQ(number, expected) << text;
  }
}

TEST(ParseFiniteTest, RefusesWhatItDoesNot) {
  for (const char* text :
       {"", "x", "1x", "inf", "-inf", "nan", "1e400", "-1e400", "1e-400", "1,5"}) {
    double number = 0;
    EXPECT_FALSE(ParseFinite(text, &number)) << text;
  }
}

}  // namespace
}  // namespace gradd

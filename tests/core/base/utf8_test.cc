#include "core/base/utf8.h"

#include <gtest/gtest.h>

namespace gradd {
namespace {

TEST(Utf8Test, TextInAnyScriptIsPrintable) {
  for (const char* text : {"", "ada", "Ada L. <a@b>", "\xc3\xa9", "\xe2\x98\x83",
                           "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "\xc2\xa0"}) {
    EXPECT_TRUE(IsPrintableUtf8(text)) << text;
  }
}

TEST(Utf8Test, ControlCharactersAreNot) {
  for (const char* text : {"a\nb", "\t", "\x1b[2J", "\x7f", "\xc2\x80", "\xc2\x9f"}) {
    EXPECT_FALSE(IsPrintableUtf8(text)) << text;
  }
  EXPECT_FALSE(IsPrintableUtf8(absl::string_view("a\0b", 3)));
}

TEST(Utf8Test, MalformedBytesAreNot) {
  for (const char* text :
       {"\xff", "\x80", "a\xc3", "\xc3(", "\xe2\x98", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80",
        "\xf0\x80\x80\xaf", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80"}) {
    EXPECT_FALSE(IsPrintableUtf8(text)) << text;
  }
}

TEST(AbbreviatedTest, LongTextIsCutBetweenCharacters) {
  EXPECT_EQ(Abbreviated("", 0), "");
  EXPECT_EQ(Abbreviated("abc", 3), "abc");
  EXPECT_EQ(Abbreviated("abcd", 3), "abc...");
  EXPECT_EQ(Abbreviated("a\xe2\x98\x83", 4), "a\xe2\x98\x83");
  for (const size_t bytes : {1, 2, 3}) EXPECT_EQ(Abbreviated("a\xe2\x98\x83", bytes), "a...");
}

}  // namespace
}  // namespace gradd

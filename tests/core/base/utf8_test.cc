#include "core/base/utf8.h"

#include <gtest/gtest.h>

#include <string>

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

TEST(Utf8Test, CharactersThatAreNotSeenWhereTheyStandAreNot) {
  // Right-to-left override, isolates, zero width space and joiner, word joiner, byte order mark,
  // soft hyphen, Arabic letter mark, line and paragraph separators, a tag.
  for (const char* text : {"\xe2\x80\xae", "\xe2\x81\xa6", "\xe2\x81\xa9", "\xe2\x80\x8b",
                           "\xe2\x80\x8d", "\xe2\x81\xa0", "\xef\xbb\xbf", "\xc2\xad", "\xd8\x9c",
                           "\xe2\x80\xa8", "\xe2\x80\xa9", "\xf3\xa0\x81\x81"}) {
    EXPECT_FALSE(IsPrintableUtf8(std::string("a") + text + "b")) << text;
  }
  // Their neighbours are.
  for (const char* text :
       {"\xe2\x80\xaf", "\xe2\x80\xa7", "\xe2\x80\x8a", "\xe2\x80\x90", "\xc2\xae"}) {
    EXPECT_TRUE(IsPrintableUtf8(text)) << text;
  }
}

TEST(ForTerminalTest, OnlyWhatIsSeenStaysAsItIs) {
  EXPECT_EQ(ForTerminal("a \xc3\xa9\n\xf0\x9f\x98\x80"), "a \xc3\xa9\n\xf0\x9f\x98\x80");
  EXPECT_EQ(ForTerminal("\x1b[2J\r\t"), "\\u001b[2J\\u000d\\u0009");
  EXPECT_EQ(ForTerminal("a\xe2\x80\xaez"), "a\\u202ez");
  EXPECT_EQ(ForTerminal("\xff\xe2\x98"), "\\xff\\xe2\\x98");
  EXPECT_EQ(ForTerminal("\xf3\xa0\x81\x81"), "\\ue0041");
}

TEST(QuotedTest, WhatSomebodySentIsShort) {
  EXPECT_EQ(Quoted("abc"), "\"abc\"");
  EXPECT_EQ(Quoted("a\x1b\"\xe2\x80\xae"), "\"a\\x1b\\\"\\xe2\\x80\\xae\"");
  EXPECT_EQ(Quoted(std::string(9000, 'x')), "\"" + std::string(80, 'x') + "...\"");
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

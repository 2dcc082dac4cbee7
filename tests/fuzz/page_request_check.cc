#include <algorithm>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/page_request.h"
#include "tests/fuzz/checks.h"
#include "tests/fuzz/input.h"

namespace gradd {
namespace {

std::string Text(const PageRequest& request, PageRequest::State state) {
  switch (state) {
    case PageRequest::State::kIncomplete:
      return "incomplete";
    case PageRequest::State::kComplete:
      return absl::StrCat(request.method(), " of ", request.path());
    case PageRequest::State::kTooLarge:
      return "too large";
    case PageRequest::State::kMalformed:
      return "malformed";
  }
  return "unknown";
}

// The same, from all bytes at once.
std::string Search(absl::string_view bytes) {
  std::vector<absl::string_view> lines = absl::StrSplit(bytes, '\n');
  lines.pop_back();  // It has no end yet, or is empty.
  size_t size = 0;
  bool complete = false;
  for (const absl::string_view line : lines) {
    size += line.size() + 1;
    complete = absl::c_all_of(line, [](char c) { return c == '\r'; });
    if (complete) break;
  }
  if (!complete || size > PageRequest::kMaxBytes) {
    return bytes.size() >= PageRequest::kMaxBytes ? "too large" : "incomplete";
  }
  absl::string_view first = lines[0];
  first.remove_prefix(std::min(first.find_first_not_of('\r'), first.size()));
  const std::vector<absl::string_view> words =
      absl::StrSplit(first.substr(0, first.find('\r')), ' ');
  if (words.size() != 3 || !absl::StartsWith(words[2], "HTTP/1.")) return "malformed";
  return absl::StrCat(words[0], " of ", words[1].substr(0, words[1].find('?')));
}

}  // namespace

std::string CheckPageRequest(absl::string_view bytes, absl::string_view cuts) {
  PageRequest request;
  PageRequest::State state = PageRequest::State::kIncomplete;
  for (const absl::string_view piece : Cut(bytes, cuts)) state = request.Take(piece);
  const std::string expected = Search(bytes);
  const std::string found = Text(request, state);
  if (found == expected) return "";
  return absl::StrCat("found ", found, ", expected ", expected, ", cut by ", absl::CHexEscape(cuts),
                      ": ", absl::CHexEscape(bytes));
}

}  // namespace gradd

#include "server/page_request.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"

namespace gradd {

PageRequest::State PageRequest::Take(absl::string_view bytes) {
  for (const char byte : bytes) {
    if (state_ != State::kIncomplete) break;
    ++bytes_;
    if (byte == '\n') {
      if (line_is_empty_) state_ = SplitFirstLine() ? State::kComplete : State::kMalformed;
      line_is_empty_ = true;
      in_first_line_ = false;
    } else if (byte != '\r') {
      line_is_empty_ = false;
      if (in_first_line_) first_line_.push_back(byte);
    } else if (!line_is_empty_) {
      in_first_line_ = false;
    }
    if (state_ == State::kIncomplete && bytes_ == kMaxBytes) state_ = State::kTooLarge;
  }
  return state_;
}

bool PageRequest::SplitFirstLine() {
  const std::vector<absl::string_view> words = absl::StrSplit(first_line_, ' ');
  if (words.size() != 3 || !absl::StartsWith(words[2], "HTTP/1.")) return false;
  method_ = std::string(words[0]);
  path_ = std::string(words[1].substr(0, words[1].find('?')));
  return true;
}

}  // namespace gradd

#ifndef GRADD_SERVER_PAGE_REQUEST_H_
#define GRADD_SERVER_PAGE_REQUEST_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace gradd {

// Reads the head of an HTTP/1 request as it arrives: of all that it says, the method and the path.
// How the bytes were cut makes no difference.
class PageRequest {
 public:
  // For the head, with the empty line at its end.
  static constexpr size_t kMaxBytes = 8 << 10;

  enum class State {
    kIncomplete,
    kComplete,
    kTooLarge,   // kMaxBytes came without an end.
    kMalformed,  // Complete, and its first line is not "METHOD TARGET HTTP/1.x".
  };

  // Takes the next bytes and returns what the request is then. Once it is not kIncomplete any more,
  // nothing changes: a body, or another request, is left unread.
  State Take(absl::string_view bytes);

  // Of a request that is complete. The path is the target without a query.
  absl::string_view method() const { return method_; }
  absl::string_view path() const { return path_; }

 private:
  bool SplitFirstLine();

  State state_ = State::kIncomplete;
  size_t bytes_ = 0;
  bool line_is_empty_ = true;  // The one that has begun, but for a carriage return.
  bool in_first_line_ = true;
  std::string first_line_;
  std::string method_;
  std::string path_;
};

}  // namespace gradd

#endif  // GRADD_SERVER_PAGE_REQUEST_H_

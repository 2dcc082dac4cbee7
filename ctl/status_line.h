#ifndef GRADD_CTL_STATUS_LINE_H_
#define GRADD_CTL_STATUS_LINE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "ctl/console.h"

namespace gradd::ctl {

// What is going on, on one line of a terminal that is drawn again and again and disappears at the
// end. Nowhere else, and not where JSON is wanted.
class StatusLine {
 public:
  StatusLine(bool json, Console* console) : silent_(json), console_(console) {}
  ~StatusLine() { Clear(); }
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  void Show(absl::string_view text) {
    const int width = console_->width();
    if (silent_ || width <= 1) return;
    // A character in the last column would make some terminals go to the next line.
    console_->out << kStartOver << std::string(text.substr(0, static_cast<size_t>(width - 1)))
                  << std::flush;
    shown_ = true;
  }
  void Clear() {
    if (shown_) console_->out << kStartOver << std::flush;
    shown_ = false;
  }

 private:
  static constexpr char kStartOver[] = "\r\x1b[K";

  const bool silent_;
  Console* const console_;
  bool shown_ = false;
};

}  // namespace gradd::ctl

#endif  // GRADD_CTL_STATUS_LINE_H_

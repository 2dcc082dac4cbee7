#ifndef GRADD_TESTS_CTL_FAKE_CONSOLE_H_
#define GRADD_TESTS_CTL_FAKE_CONSOLE_H_

#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "ctl/console.h"
#include "ctl/gradctl.h"

namespace gradd::ctl {

// Time passes only when somebody waits.
class FakeClock : public Clock {
 public:
  absl::Duration Elapsed() const override { return elapsed_; }
  absl::Time WallTime() const override { return absl::FromUnixSeconds(1'700'000'000) + elapsed_; }
  void Advance(absl::Duration duration) { elapsed_ += duration; }

 private:
  absl::Duration elapsed_;
};

// Runs gradctl in this process: streams are strings, and no wait takes any time.
struct FakeConsole {
  // Runs a command and keeps what it wrote.
  int Run(const std::vector<std::string>& args, const std::string& input = "") {
    std::istringstream in(input);
    std::ostringstream out_stream;
    std::ostringstream err_stream;
    Console console{in,
                    out_stream,
                    err_stream,
                    interrupt,
                    clock,
                    [this](absl::Duration time) {
                      waits.push_back(time);
                      clock.Advance(time);
                      if (on_wait) on_wait();
                      return interrupt.triggered();
                    },
                    [this] { return width; },
                    "ada"};
    const int code = Gradctl(args, &console);
    out = out_stream.str();
    err = err_stream.str();
    return code;
  }

  Interrupt interrupt;
  FakeClock clock;
  int width = 0;
  std::function<void()> on_wait;
  std::vector<absl::Duration> waits;
  std::string out;
  std::string err;
};

}  // namespace gradd::ctl

#endif  // GRADD_TESTS_CTL_FAKE_CONSOLE_H_

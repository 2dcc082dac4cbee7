#ifndef GRADD_CTL_CONSOLE_H_
#define GRADD_CTL_CONSOLE_H_

#include <functional>
#include <istream>
#include <ostream>
#include <string>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "ctl/interrupt.h"

namespace gradd::ctl {

// Where gradctl runs: its streams, its terminal, its user. Tests bring their own.
struct Console {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  Interrupt& interrupt;
  const Clock& clock;
  // Waits as Interrupt::WaitFor() does.
  std::function<bool(absl::Duration)> wait;
  // Columns of the terminal that `out` is; 0 if it is none. Asked again for every line.
  std::function<int()> width;
  // For the runs' histories.
  std::string user;
};

}  // namespace gradd::ctl

#endif  // GRADD_CTL_CONSOLE_H_

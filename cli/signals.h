#ifndef GRADD_CLI_SIGNALS_H_
#define GRADD_CLI_SIGNALS_H_

#include <signal.h>

// What signals mean to gradd, gradctl and gradworker. SIGQUIT and SIGKILL end each at once.
namespace gradd {

// Those that ask a program to end in its own time: SIGINT, SIGTERM and, of a terminal that was
// closed, SIGHUP; but not the last where it is ignored, as nohup has it.
sigset_t StopSignals();

// Ignores those that would end a program without a word. SIGXFSZ: a write beyond `ulimit -f` fails
// with EFBIG instead, and is reported where it happens. SIGUSR1 and SIGUSR2, which some schedulers
// of jobs send as a warning.
void IgnoreStraySignals();

}  // namespace gradd

#endif  // GRADD_CLI_SIGNALS_H_

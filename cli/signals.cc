#include "cli/signals.h"

#include <initializer_list>

namespace gradd {

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  struct sigaction hang_up = {};
  sigaction(SIGHUP, nullptr, &hang_up);
  if (hang_up.sa_handler != SIG_IGN) sigaddset(&signals, SIGHUP);
  return signals;
}

void IgnoreStraySignals() {
  for (const int number : {SIGXFSZ, SIGUSR1, SIGUSR2}) signal(number, SIG_IGN);
}

}  // namespace gradd

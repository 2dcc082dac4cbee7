#include <pwd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "cli/signals.h"
#include "ctl/gradctl.h"
#include "ctl/status.h"
#include "google/protobuf/stubs/logging.h"

namespace {

// Takes the signals to stop away from all threads and gives them to one that waits for them, as
// nothing useful may be done in a signal handler.
void ForwardSignals(gradd::ctl::Interrupt* interrupt) {
  const sigset_t signals = gradd::StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals, interrupt] {
    int signal = 0;
    sigwait(&signals, &signal);
    interrupt->Trigger();
    // A second one is for a program that does not end. Its terminal's cursor may be hidden.
    sigwait(&signals, &signal);
    if (isatty(STDOUT_FILENO) != 0) {
      constexpr char kShowCursor[] = "\x1b[?25h";
      if (write(STDOUT_FILENO, kShowCursor, sizeof(kShowCursor) - 1) < 0) {
        // There is nobody left to tell.
      }
    }
    _exit(gradd::ctl::kExitInterrupted);
  }).detach();
}

int TerminalWidth() {
  constexpr int kUsual = 80;
  if (isatty(STDOUT_FILENO) == 0) return 0;
  winsize size = {};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsual;
  return size.ws_col;
}

std::string UserName() {
  if (const char* name = std::getenv("USER"); name != nullptr && *name != '\0') return name;
  const passwd* entry = getpwuid(getuid());
  return entry == nullptr ? "" : entry->pw_name;
}

}  // namespace

int main(int argc, char** argv) {
  // The thread that waits for signals outlives main().
  static auto* const interrupt = new gradd::ctl::Interrupt;
  ForwardSignals(interrupt);
  gradd::IgnoreStraySignals();
  // It would print a line of its own for malformed strings, beside our message.
  google::protobuf::SetLogHandler(nullptr);
  gradd::ctl::Console console{std::cin,
                              std::cout,
                              std::cerr,
                              *interrupt,
                              *gradd::Clock::Real(),
                              [](absl::Duration time) { return interrupt->WaitFor(time); },
                              TerminalWidth,
                              UserName()};
  return gradd::ctl::Gradctl(std::vector<std::string>(argv + 1, argv + argc), &console);
}

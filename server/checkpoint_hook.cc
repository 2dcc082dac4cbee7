#include "server/checkpoint_hook.h"

#include <spawn.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/run/run_log.h"

namespace gradd {

CheckpointHook::CheckpointHook(std::string command, absl::Duration patience)
    : command_(std::move(command)), patience_(patience), thread_([this] { RunAll(); }) {}

CheckpointHook::~CheckpointHook() {
  const Clock& clock = *Clock::Real();
  const absl::Duration until = clock.Elapsed() + patience_;
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
    changed_.NotifyAll();
    while (!done_ && clock.Elapsed() < until) changed_.WaitFor(&mutex_, until - clock.Elapsed());
    over_ = true;
    // (It is not reaped before child_ is 0.)
    if (child_ != 0) kill(-child_, SIGKILL);
  }
  thread_.join();
}

void CheckpointHook::Run(const std::string& run_id, const std::string& path) {
  MutexLock lock(&mutex_);
  waiting_[run_id] = path;
  changed_.NotifyAll();
}

void CheckpointHook::RunAll() {
  for (;;) {
    std::pair<std::string, std::string> next;
    {
      MutexLock lock(&mutex_);
      while (!stopped_ && waiting_.empty()) changed_.Wait(&mutex_);
      if (over_ || waiting_.empty()) {
        done_ = true;
        changed_.NotifyAll();
        return;
      }
      next = *waiting_.begin();
      waiting_.erase(waiting_.begin());
    }
    RunOne(next.first, next.second);
  }
}

void CheckpointHook::RunOne(const std::string& run_id, const std::string& path) {
  std::vector<std::string> kept;
  for (char** variable = environ; *variable != nullptr; ++variable) kept.emplace_back(*variable);
  kept.push_back(absl::StrCat("GRADD_RUN=", run_id));
  std::vector<char*> environment;
  environment.reserve(kept.size() + 1);
  for (std::string& variable : kept) environment.push_back(variable.data());
  environment.push_back(nullptr);
  std::string words[] = {"sh", "-c", command_, "gradd", path};
  std::vector<char*> arguments;
  arguments.reserve(std::size(words) + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t child = 0;
  std::string why;
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  int spawned = 0;
  {
    MutexLock lock(&mutex_);
    spawned = over_ ? ECANCELED
                    : posix_spawn(&child, "/bin/sh", nullptr, &attributes, arguments.data(),
                                  environment.data());
    if (spawned == 0) child_ = child;
  }
  posix_spawnattr_destroy(&attributes);
  if (spawned != 0) {
    why = std::strerror(spawned);
  } else {
    // Waited for before it is reaped, so that nobody kills another one of its number.
    siginfo_t ended;
    while (waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT) < 0 &&
           errno == EINTR) {
    }
    int status = 0;
    MutexLock lock(&mutex_);
    child_ = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status)) {
      why = absl::StrCat("signal ", WTERMSIG(status));
    } else if (WEXITSTATUS(status) != 0) {
      why = absl::StrCat("exit code ", WEXITSTATUS(status));
    }
  }
  if (why.empty()) return;
  spdlog::warn(
      "{}", LogLine("checkpoint command failed", {{"run", run_id}, {"file", path}, {"why", why}}));
}

}  // namespace gradd

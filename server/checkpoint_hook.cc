#include "server/checkpoint_hook.h"

#include <spawn.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/run/run_log.h"

namespace gradd {

CheckpointHook::CheckpointHook(std::string command)
    : command_(std::move(command)), thread_([this] { RunAll(); }) {}

CheckpointHook::~CheckpointHook() {
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
  }
  changed_.NotifyAll();
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
      if (stopped_) return;
      next = *waiting_.begin();
      waiting_.erase(waiting_.begin());
    }
    RunOne(next.first, next.second);
  }
}

void CheckpointHook::RunOne(const std::string& run_id, const std::string& path) const {
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
  const int spawned =
      posix_spawn(&child, "/bin/sh", nullptr, nullptr, arguments.data(), environment.data());
  if (spawned != 0) {
    why = std::strerror(spawned);
  } else {
    int status = 0;
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

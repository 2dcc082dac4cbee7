#include "server/log_writer.h"

#include <spdlog/spdlog.h>

namespace gradd {
namespace {

constexpr absl::Duration kLogWriterInterval = absl::Milliseconds(100);

void WriteEntry(const LogEntry& entry) {
  const bool warning = entry.level == LogEntry::Level::kWarning;
  spdlog::log(warning ? spdlog::level::warn : spdlog::level::info, "{}", entry.Line());
}

}  // namespace

LogWriter::LogWriter(RunRegistry* registry)
    : registry_(registry), thread_([this] { WriteUntilStopped(); }) {}

LogWriter::~LogWriter() {
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
  }
  stopped_changed_.NotifyAll();
  thread_.join();
  Write();
}

void LogWriter::Write() {
  const absl::Duration now = registry_->clock().Elapsed();
  for (const LogEntry& entry : registry_->log()->Take(now)) WriteEntry(entry);
  for (const LogEntry& entry : memory_.Look(registry_->budget(), now)) WriteEntry(entry);
}

void LogWriter::WriteUntilStopped() {
  MutexLock lock(&mutex_);
  while (!stopped_) {
    mutex_.Unlock();
    Write();
    mutex_.Lock();
    if (!stopped_) stopped_changed_.WaitFor(&mutex_, kLogWriterInterval);
  }
}

}  // namespace gradd

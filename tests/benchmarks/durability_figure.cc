// What it costs that a run outlives its server: checkpoints, the journal, recovery.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "tests/benchmarks/figure.h"
#include "tests/benchmarks/server_process.h"
#include "tests/benchmarks/step_worker.h"

namespace gradd {
namespace {

constexpr int kStepsInAWindow = 40;
constexpr double kCheckpointInterval = 30;                // Seconds, for checkpoint_slowdown.
constexpr double kStateBytes = 3.0 * 4 * kLargeElements;  // Parameters and the slots of Adam.

// A directory that is gone with this.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string path =
        (std::filesystem::temp_directory_path() / "gradd_durability_XXXXXX").string();
    if (mkdtemp(path.data()) == nullptr) Fail(absl::StrCat("cannot make ", path));
    path_ = path;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

double SecondsOf(const std::function<void()>& task) {
  const absl::Duration begin = Clock::Real()->Elapsed();
  task();
  return absl::ToDoubleSeconds(Clock::Real()->Elapsed() - begin);
}

// The one checkpoint of a run.
std::string CheckpointIn(const std::string& state_directory, const std::string& run) {
  for (const auto& entry :
       std::filesystem::directory_iterator(absl::StrCat(state_directory, "/runs/", run))) {
    if (entry.path().extension() == ".safetensors") return entry.path().string();
  }
  return "";
}

void SetCheckpoints(GraddProcess* server, const std::string& run, int64_t every_steps) {
  v1::Run values;
  values.mutable_checkpoints()->set_every_steps(every_steps);
  values.mutable_checkpoints()->mutable_every();  // No time.
  values.mutable_checkpoints()->set_keep_last(1);
  server->UpdateRun(run, values, {"checkpoints"});
}

// Bytes per second of writing that much to a new file, synced as a checkpoint is; and seconds of
// one sync of a page.
void MeasureDisk(const std::string& directory) {
  constexpr size_t kPiece = size_t{32} << 20;
  constexpr int kPieces = 8;
  constexpr size_t kPage = 4096;
  const std::string path = absl::StrCat(directory, "/disk");
  const int file = open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  const std::vector<char> data(kPiece, 1);
  const auto write_all = [&](size_t size) {
    if (write(file, data.data(), size) != static_cast<ssize_t>(size) || fdatasync(file) != 0) {
      Fail(absl::StrCat("cannot write ", path));
    }
  };
  const double seconds = SecondsOf([&] {
    for (int i = 0; i < kPieces; ++i) write_all(kPiece);
  });
  Print("disk_write_mb_per_second", kPieces * static_cast<double>(kPiece) / seconds / 1e6, "MB/s");
  std::vector<double> syncs;
  for (int i = 0; i < 20; ++i) syncs.push_back(SecondsOf([&] { write_all(kPage); }));
  Print("disk_sync_ms", Median(syncs) * 1e3, "ms");
  close(file);
  std::filesystem::remove(path);
}

// Reads the file into memory that is touched for the first time, by two threads as the server does.
void ReadInto(const std::string& path) {
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path));
  void* const memory = mmap(nullptr, static_cast<size_t>(size), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) Fail("no memory");
  madvise(memory, static_cast<size_t>(size), MADV_HUGEPAGE);
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const int64_t threads = std::max(1U, std::thread::hardware_concurrency());
  std::vector<std::thread> readers;
  for (int64_t i = 0; i < threads; ++i) {
    readers.emplace_back([=] {
      int64_t at = size * i / threads;
      for (const int64_t end = size * (i + 1) / threads; at < end;) {
        const ssize_t read = pread(file, static_cast<char*>(memory) + at,
                                   static_cast<size_t>(std::min<int64_t>(end - at, 1 << 20)), at);
        if (read <= 0) Fail(absl::StrCat("cannot read ", path));
        at += read;
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  close(file);
  munmap(memory, static_cast<size_t>(size));
}

void AwaitRun(const GraddProcess& server, const std::string& run) {
  while (!server.HasRun(run)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace

void MeasureDurability(const Settings& settings) {
  const TemporaryDirectory directory;
  const std::string state = absl::StrCat(directory.path(), "/state");
  const std::vector<float> gradient = Gradient(kLargeElements);
  const int rounds = settings.quick ? 3 : 7;
  MeasureDisk(directory.path());
  {
    GraddProcess server(settings.gradd, {"--state-dir", state});
    server.CreateRun("plain", kLargeElements, 1);
    server.CreateRun("journaled", kLargeElements, 1);
    for (const char* const run : {"plain", "journaled"}) SetCheckpoints(&server, run, 0);
    StepWorker plain(WorkerOptions(server, "plain", "w"), gradient);
    const auto window = [&] {
      for (int i = 0; i < kStepsInAWindow; ++i) plain.Step();
    };
    window();
    const int64_t before = server.process().MemoryBytes("VmRSS");
    std::vector<double> without;
    std::vector<double> with;
    for (int round = 0; round < rounds; ++round) {
      SetCheckpoints(&server, "plain", 0);
      without.push_back(SecondsOf(window));
      // One falls into each window.
      SetCheckpoints(&server, "plain", kStepsInAWindow);
      with.push_back(SecondsOf(window));
    }
    const double extra = Median(with) - Median(without);
    Print("steps_with_checkpoint_ms", Median(with) * 1e3 / kStepsInAWindow, "ms");
    Print("steps_without_checkpoint_ms", Median(without) * 1e3 / kStepsInAWindow, "ms");
    Print("checkpoint_slowdown", 1 + extra / kCheckpointInterval, "x");
    const int64_t most = server.process().MemoryBytes("VmHWM");
    Print("checkpoint_extra_memory", static_cast<double>(most - before) / kStateBytes, "x");

    StepWorker journaled(WorkerOptions(server, "journaled", "w"), gradient);
    v1::Run journal;
    journal.set_journal(true);
    server.UpdateRun("journaled", journal, {"journal"});
    const std::vector<double> seconds =
        MedianSeconds(rounds, {[&] { plain.Step(); }, [&] { journaled.Step(); }});
    Print("journal_step_ms", seconds[1] * 1e3, "ms");
    Print("journal_step_over_step", seconds[1] / seconds[0], "x");
  }
  // Only one run is read, from its one checkpoint.
  std::filesystem::remove_all(absl::StrCat(state, "/runs/journaled"));
  const std::string checkpoint = CheckpointIn(state, "plain");
  if (checkpoint.empty()) Fail("there is no checkpoint");
  std::vector<double> started;
  std::vector<double> recovered;
  std::vector<double> read;
  const std::string empty = absl::StrCat(directory.path(), "/empty");
  for (int round = 0; round < rounds; ++round) {
    read.push_back(SecondsOf([&] { ReadInto(checkpoint); }));
    std::unique_ptr<GraddProcess> server;  // That it ends is not measured.
    const auto start = [&](const std::string& in) {
      server = std::make_unique<GraddProcess>(settings.gradd,
                                              std::vector<std::string>{"--state-dir", in});
    };
    started.push_back(SecondsOf([&] { start(empty); }));
    server.reset();
    recovered.push_back(SecondsOf([&] {
      start(state);
      AwaitRun(*server, "plain");
    }));
  }
  Print("read_ms", Median(read) * 1e3, "ms");
  Print("recovery_ms", (Median(recovered) - Median(started)) * 1e3, "ms");
  Print("recovery_over_read", (Median(recovered) - Median(started)) / Median(read), "x");
}

}  // namespace gradd

// A checkpoint of 25 million parameters with Adam, written and read through the page cache, beside
// what the machine takes to write the same bytes, and to read them into memory that nobody has
// touched. See README.md.

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdio>
#include <future>
#include <stdexcept>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/durability/checkpoint_reader.h"
#include "core/durability/checkpoint_writer.h"
#include "core/run/run_registry.h"
#include "tests/benchmarks/benchmark_program.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

constexpr int64_t kElements = 25'000'000;
constexpr int kThreads = 2;

void Check(const absl::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

// A run, and its checkpoint, for all benchmarks.
struct Model {
  Model() {
    v1::Run spec = AsynchronousSpec(kElements);
    spec.mutable_optimizer()->mutable_adam();
    spec.mutable_layout()->mutable_tensors(0)->mutable_initializer()->mutable_uniform()->set_high(
        1);
    run = *registry.Create("r", spec, "");
    Write();
  }
  ~Model() { std::remove(path.c_str()); }

  void Write() {
    std::promise<std::shared_ptr<const RunCapture>> promise;
    run->Capture([&](const auto& capture) { promise.set_value(*capture); });
    auto writer = *CheckpointWriter::Begin(files, path, promise.get_future().get(), {});
    for (bool done = false; !done;) {
      const auto some = writer->WriteSome(int64_t{4} << 20);
      Check(some.status());
      done = *some;
    }
    bytes = writer->bytes();
  }

  FileSystem* const files = FileSystem::Real();
  RunRegistry registry{Limits(), kThreads};
  std::shared_ptr<Run> run;
  const std::string path = absl::StrCat("checkpoint_benchmark.", getpid());
  int64_t bytes = 0;
};

Model& TheModel() {
  static Model model;
  return model;
}

void SetBytes(benchmark::State& state) {
  state.SetBytesProcessed(state.iterations() * TheModel().bytes);
}

void ReadAll(benchmark::State& state) {
  Model& model = TheModel();
  for (auto _ : state) {
    auto capture = ReadCheckpoint(model.files, model.path, model.registry.environment());
    Check(capture.status());
    state.PauseTiming();
    capture->reset();
    state.ResumeTiming();
  }
  SetBytes(state);
}
BENCHMARK(ReadAll)->Name("checkpoint/read")->UseRealTime()->Unit(benchmark::kMillisecond);

// The same reads into blocks as new, and nothing else.
void TouchAll(benchmark::State& state) {
  Model& model = TheModel();
  const auto file = *model.files->OpenToRead(model.path);
  const int64_t count = file->size() / (kBlockElements * int64_t{sizeof(float)});
  for (auto _ : state) {
    BlockVector blocks;
    const auto pool = BlockPool::Create();
    for (int64_t i = 0; i < count; ++i) blocks.push_back(pool->Allocate(kBlockElements));
    model.registry.pool()->ParallelFor(count, [&](int64_t i) {
      constexpr int64_t kBytes = kBlockElements * int64_t{sizeof(float)};
      char* const to = reinterpret_cast<char*>(blocks[static_cast<size_t>(i)].data());
      if (!file->Read(i * kBytes, kBytes, to).ok()) std::abort();
    });
    state.PauseTiming();
    blocks.clear();
    pool->FreeUnused();
    state.ResumeTiming();
  }
  SetBytes(state);
}
BENCHMARK(TouchAll)->Name("checkpoint/touch")->UseRealTime()->Unit(benchmark::kMillisecond);

void Verify(benchmark::State& state) {
  Model& model = TheModel();
  for (auto _ : state) Check(VerifyCheckpoint(model.files, model.path).status());
  SetBytes(state);
}
BENCHMARK(Verify)->Name("checkpoint/verify")->UseRealTime()->Unit(benchmark::kMillisecond);

void WriteAll(benchmark::State& state) {
  for (auto _ : state) TheModel().Write();
  SetBytes(state);
}
BENCHMARK(WriteAll)->Name("checkpoint/write")->UseRealTime()->Unit(benchmark::kMillisecond);

// The same bytes in the same pieces, and synced as often.
void WritePlain(benchmark::State& state) {
  Model& model = TheModel();
  const std::string plain = model.path + ".plain";
  const std::string block(size_t{1} << 20, 'x');
  for (auto _ : state) {
    auto file = *model.files->Create(plain);
    for (int64_t i = 0; file->size() < model.bytes; ++i) {
      Check(file->Append({block}));
      if (i % 32 == 31) Check(file->Sync());
    }
    Check(file->Sync());
    state.PauseTiming();
    file.reset();
    std::remove(plain.c_str());
    state.ResumeTiming();
  }
  SetBytes(state);
}
BENCHMARK(WritePlain)->Name("checkpoint/plain_write")->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace gradd

int main(int argc, char** argv) { return gradd::RunBenchmarks(argc, argv); }

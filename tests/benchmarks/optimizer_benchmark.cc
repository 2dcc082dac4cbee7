// Every element-wise optimizer of the table over 25 million float32 parameters, tile by tile as the
// server applies it, norms included, and beside it what memory can do: p -= lr * g in place. And
// what optimizers of whole tensors do to the gradient of a square matrix, on one thread as the
// server does it.

#include <benchmark/benchmark.h>
#include <google/protobuf/text_format.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/optim/optimizer_factory.h"
#include "tests/benchmarks/benchmark_program.h"
#include "tests/benchmarks/optimizer_pass.h"
#include "tests/core/optim/optimizer_table.h"
#include "tests/core/optim/work_in_place.h"

namespace gradd {
namespace {

void Report(benchmark::State& state, int64_t bytes) {
  state.SetItemsProcessed(state.iterations() * OptimizerPass::kElements);
  state.SetBytesProcessed(state.iterations() * bytes);
}

void Sweep(benchmark::State& state) {
  OptimizerPass pass(static_cast<int>(state.range(0)));
  for (auto _ : state) pass.Sweep();
  Report(state, OptimizerPass::kSweepBytes);
}

void Update(benchmark::State& state, const OptimizerCase& row) {
  OptimizerPass pass(static_cast<int>(state.range(0)));
  pass.Begin(row);
  for (auto _ : state) pass.Step();
  Report(state, pass.step_bytes());
}

void Transform(benchmark::State& state, const OptimizerCase& row) {
  v1::Optimizer spec;
  google::protobuf::TextFormat::ParseFromString(row.spec, &spec);
  const std::unique_ptr<Optimizer> optimizer = *MakeOptimizer(spec);
  const int64_t side = state.range(0);
  WorkInPlace work({{side, side}}, optimizer->transforms());
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> gradient(static_cast<size_t>(side * side));
  for (float& g : gradient) g = normal(random);
  int64_t step = 0;
  for (auto _ : state) work.Transform({step++, row.learning_rate, 0}, gradient, gradient);
  state.SetItemsProcessed(state.iterations() * side * side);
}

}  // namespace

// Whether a step looks at each element alone.
bool IsElementwise(const OptimizerCase& row) {
  v1::Optimizer spec;
  google::protobuf::TextFormat::ParseFromString(row.spec, &spec);
  const std::unique_ptr<Optimizer> optimizer = *MakeOptimizer(spec);
  return optimizer->sums() == 0 && optimizer->transforms().empty();
}

}  // namespace gradd

int main(int argc, char** argv) {
  const auto settle = [](benchmark::internal::Benchmark* benchmark) {
    benchmark->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);
  };
  settle(benchmark::RegisterBenchmark("sweep", gradd::Sweep));
  for (const gradd::OptimizerCase& row : gradd::OptimizerTable()) {
    if (!gradd::IsElementwise(row)) continue;
    settle(benchmark::RegisterBenchmark(
        row.name.c_str(), [&row](benchmark::State& state) { gradd::Update(state, row); }));
  }
  for (const gradd::OptimizerCase& row : gradd::OptimizerTable()) {
    for (const char* const name : {"adafactor", "sm3", "muon", "shampoo"}) {
      if (row.name != name) continue;
      benchmark::RegisterBenchmark(name, [&row](benchmark::State& s) { gradd::Transform(s, row); })
          ->ArgName("side")
          ->Arg(256)
          ->Arg(1024)
          ->Unit(benchmark::kMillisecond);
    }
  }
  return gradd::RunBenchmarks(argc, argv);
}

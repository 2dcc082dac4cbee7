// Every optimizer of the table over 25 million float32 parameters, tile by tile as the server
// applies it, norms and sums included, and beside it what memory can do: p -= lr * g in place.

#include <benchmark/benchmark.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/optim/optimizer_factory.h"
#include "core/store/block.h"
#include "tests/core/optim/optimizer_table.h"

namespace gradd {
namespace {

constexpr int64_t kElements = 25'000'000;
constexpr int64_t kBlocks = (kElements + kBlockElements - 1) / kBlockElements;

// A vector in blocks, as the server keeps it.
class Values {
 public:
  Values(BlockPool* pool, float value) {
    for (int64_t begin = 0; begin < kElements; begin += kBlockElements) {
      blocks_.push_back(pool->Allocate(std::min(kBlockElements, kElements - begin)));
      std::fill_n(blocks_.back().data(), blocks_.back().elements(), value);
    }
  }
  float* block(int64_t index) const { return blocks_[static_cast<size_t>(index)].data(); }

 private:
  std::vector<BlockRef> blocks_;
};

// Calls task(block, elements) for every block, on all threads.
void ForEachBlock(ThreadPool* pool, const std::function<void(int64_t, int64_t)>& task) {
  pool->ParallelFor(kBlocks, [&](int64_t block) {
    task(block, std::min(kBlockElements, kElements - block * kBlockElements));
  });
}

void Report(benchmark::State& state, int64_t vectors) {
  state.SetItemsProcessed(state.iterations() * kElements);
  state.SetBytesProcessed(state.iterations() * kElements * vectors *
                          static_cast<int64_t>(sizeof(float)));
}

void Sweep(benchmark::State& state) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  const auto blocks = BlockPool::Create();
  const Values parameters(blocks.get(), 1);
  const Values gradient(blocks.get(), 1e-3f);
  for (auto _ : state) {
    ForEachBlock(&pool, [&](int64_t block, int64_t size) {
      float* const p = parameters.block(block);
      const float* const g = gradient.block(block);
      for (int64_t i = 0; i < size; ++i) p[i] -= 0.01f * g[i];
    });
  }
  Report(state, 3);
}

void Update(benchmark::State& state, const OptimizerCase& row) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  v1::Optimizer spec;
  google::protobuf::TextFormat::ParseFromString(row.spec, &spec);
  const std::unique_ptr<Optimizer> optimizer = *MakeOptimizer(spec);
  const auto blocks = BlockPool::Create();
  const Values parameters(blocks.get(), 1);
  const Values gradient(blocks.get(), 1e-3f);
  std::vector<Values> slots;
  for (const SlotSpec& slot : optimizer->slots()) {
    slots.emplace_back(blocks.get(), slot.starts_at_parameters ? 1 : slot.initial_value);
  }
  std::vector<double> kept;
  for (const ScalarSpec& scalar : optimizer->scalars()) kept.push_back(scalar.initial_value);
  const auto for_each_tile = [&](int64_t block, int64_t size, const auto& visit) {
    std::vector<const float*> in(slots.size());
    std::vector<float*> out(slots.size());
    for (int64_t at = 0; at < size; at += kTileElements) {
      for (size_t k = 0; k < slots.size(); ++k) in[k] = out[k] = slots[k].block(block) + at;
      Tile tile;
      tile.size = std::min(kTileElements, size - at);
      tile.gradient = gradient.block(block) + at;
      tile.parameters_in = parameters.block(block) + at;
      tile.parameters_out = parameters.block(block) + at;
      tile.slots_in = in.data();
      tile.slots_out = out.data();
      visit(tile);
    }
  };
  const auto sum_count = static_cast<size_t>(optimizer->sums());
  std::vector<double> block_sums(kBlocks * sum_count);
  int64_t step = 0;
  for (auto _ : state) {
    optimizer->BeginStep({step++, row.learning_rate, /*loss=*/1}, absl::MakeSpan(kept));
    if (sum_count > 0) {
      std::fill(block_sums.begin(), block_sums.end(), 0);
      ForEachBlock(&pool, [&](int64_t block, int64_t size) {
        double* const sums = &block_sums[static_cast<size_t>(block) * sum_count];
        for_each_tile(block, size, [&](const Tile& tile) { optimizer->SumTile(tile, sums); });
      });
      std::vector<double> sums(sum_count);
      for (size_t i = 0; i < block_sums.size(); ++i) sums[i % sum_count] += block_sums[i];
      optimizer->EndSums(sums, absl::MakeSpan(kept));
    }
    ForEachBlock(&pool, [&](int64_t block, int64_t size) {
      for_each_tile(block, size, [&](const Tile& tile) {
        TileNorms norms;
        optimizer->UpdateTile(tile, &norms);
        benchmark::DoNotOptimize(norms);
      });
    });
  }
  // The sums read everything once more.
  const auto slot_count = static_cast<int64_t>(slots.size());
  Report(state, 3 + 2 * slot_count + (sum_count > 0 ? 2 + slot_count : 0));
}

}  // namespace
}  // namespace gradd

int main(int argc, char** argv) {
  const auto settle = [](benchmark::internal::Benchmark* benchmark) {
    benchmark->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);
  };
  settle(benchmark::RegisterBenchmark("sweep", gradd::Sweep));
  for (const gradd::OptimizerCase& row : gradd::OptimizerTable()) {
    settle(benchmark::RegisterBenchmark(
        row.name.c_str(), [&row](benchmark::State& state) { gradd::Update(state, row); }));
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

// Elements per second of the codecs, one tile at a time, so in the L1 cache; top-k over a vector.

#include <benchmark/benchmark.h>

#include <cstddef>
#include <random>
#include <vector>

#include "core/codec/dense.h"
#include "core/codec/error_feedback.h"
#include "core/codec/int8.h"
#include "core/codec/top_k.h"
#include "tests/benchmarks/benchmark_program.h"

namespace gradd {
namespace {

constexpr int64_t kTile = 2048;

std::vector<float> Gradient(int64_t size) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 1e-3F);
  std::vector<float> values(static_cast<size_t>(size));
  for (float& value : values) value = normal(random);
  return values;
}

void EncodeTile(benchmark::State& state, v1::Encoding encoding) {
  const std::vector<float> values = Gradient(kTile);
  std::vector<std::byte> bytes(static_cast<size_t>(Int8Bytes(kTile)) * sizeof(float));
  for (auto _ : state) {
    if (encoding == v1::ENCODING_INT8) {
      EncodeInt8(values.data(), kTile, 1, 0, bytes.data());
    } else {
      EncodeDense(encoding, values.data(), kTile, bytes.data());
    }
    benchmark::DoNotOptimize(bytes.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * kTile);
}

void DecodeTile(benchmark::State& state, v1::Encoding encoding) {
  std::vector<float> values = Gradient(kTile);
  std::vector<std::byte> bytes(static_cast<size_t>(kTile) * sizeof(float));
  if (encoding != v1::ENCODING_INT8) {
    EncodeDense(encoding, values.data(), kTile, bytes.data());
  }
  for (auto _ : state) {
    if (encoding == v1::ENCODING_INT8) {
      DecodeInt8(bytes.data(), kTile, 0.5F, values.data());
    } else {
      DecodeDense(encoding, bytes.data(), kTile, values.data());
    }
    benchmark::DoNotOptimize(values.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * kTile);
}

void CompressTopK(benchmark::State& state) {
  const std::vector<float> gradient = Gradient(state.range(0));
  ErrorFeedback feedback(state.range(0));
  TopK top_k;
  std::vector<uint32_t> indices;
  std::vector<float> values(gradient.size());
  for (auto _ : state) {
    if (!feedback.Add(gradient).ok()) state.SkipWithError("not finite");
    top_k.Select(feedback.residual(), state.range(0) / 100, &indices);
    feedback.Take(indices, absl::MakeSpan(values).first(indices.size()));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

BENCHMARK_CAPTURE(EncodeTile, bfloat16, v1::ENCODING_BFLOAT16);
BENCHMARK_CAPTURE(EncodeTile, float16, v1::ENCODING_FLOAT16);
BENCHMARK_CAPTURE(EncodeTile, int8, v1::ENCODING_INT8);
BENCHMARK_CAPTURE(DecodeTile, bfloat16, v1::ENCODING_BFLOAT16);
BENCHMARK_CAPTURE(DecodeTile, float16, v1::ENCODING_FLOAT16);
BENCHMARK_CAPTURE(DecodeTile, int8, v1::ENCODING_INT8);
BENCHMARK(CompressTopK)->Arg(1 << 20)->Arg(25'000'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace gradd

int main(int argc, char** argv) { return gradd::RunBenchmarks(argc, argv); }

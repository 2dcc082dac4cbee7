// The same pushes give the same bits: parameters, slots and norms, for every optimizer and stage,
// whatever the threads, the length of blocks, the chunks and the encoding.

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "core/codec/dense.h"
#include "core/codec/int8.h"
#include "core/codec/sparse.h"
#include "tests/core/run/every_stage.h"
#include "tests/support/trainee.h"

namespace gradd {
namespace {

using Values = std::vector<float>;

struct Tensor {
  const char* name;
  std::vector<int64_t> shape;
  int64_t begin;
  int64_t end;
};

// Tensors that end within a tile, and some that are longer than one.
const std::vector<Tensor>& Tensors() {
  static const auto& tensors = *new std::vector<Tensor>{{"table", {140, 30}, 0, 4200},
                                                        {"bias", {77}, 4200, 4277},
                                                        {"matrix", {60, 50}, 4277, 7277},
                                                        {"filter", {2, 3, 20}, 7277, 7397},
                                                        {"vector", {5000}, 7397, 12397}};
  return tensors;
}
constexpr int64_t kElements = 12397;
constexpr int kWorkers = 2;
constexpr int kSteps = 3;

v1::Run SpecOf(const NamedOptimizer& optimizer) {
  v1::Run spec;
  for (const Tensor& tensor : Tensors()) {
    v1::Tensor& message = *spec.mutable_layout()->add_tensors();
    message.set_name(tensor.name);
    for (const int64_t length : tensor.shape) message.add_shape(length);
    message.mutable_initializer()->mutable_uniform()->set_low(-1);
    message.mutable_initializer()->mutable_uniform()->set_high(1);
  }
  *spec.mutable_optimizer() = optimizer.spec;
  spec.mutable_schedule()->set_learning_rate(optimizer.learning_rate);
  spec.mutable_policy()->mutable_synchronous()->set_workers(kWorkers);
  return spec;
}

// How a run is served and a push is cut.
struct Way {
  int64_t block_tiles;
  int threads;
  unsigned cuts;  // Seed of the places where chunks end.
};
constexpr Way kWays[] = {{64, 1, 1}, {1, 2, 2}, {3, 3, 3}, {2, 1, 4}};

// Where chunks begin and end: multiples of `unit` from `begin` to `end`, both included.
std::vector<int64_t> Cuts(std::mt19937* random, int64_t begin, int64_t end, int64_t unit,
                          size_t most) {
  std::vector<int64_t> cuts = {begin, end};
  const auto units = static_cast<uint64_t>((end - begin) / unit);
  for (size_t i = (*random)() % (most + 1); i > 0; --i) {
    cuts.push_back(begin + unit * static_cast<int64_t>((*random)() % (units + 1)));
  }
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  return cuts;
}

Values Gradient(int step, int worker) {
  std::mt19937 random(static_cast<unsigned>(step * kWorkers + worker));
  std::normal_distribution<float> normal;
  Values gradient(kElements);
  for (float& g : gradient) g = normal(random);
  return gradient;
}

// Encodes `values`, and replaces them by what that can be read as.
std::vector<std::byte> Encode(v1::Encoding encoding, Values* values) {
  std::vector<std::byte> data;
  if (encoding == v1::ENCODING_INT8) {
    data.resize(static_cast<size_t>(Int8Bytes(kElements)));
    EncodeInt8(values->data(), kElements, /*seed=*/1, /*first=*/0, data.data());
    for (int64_t at = 0; at < kElements; at += kInt8GroupElements) {
      const std::byte* const group = data.data() + Int8Bytes(at);
      float scale = 0;
      std::memcpy(&scale, group, sizeof(scale));
      DecodeInt8(group + sizeof(scale), std::min(kInt8GroupElements, kElements - at), scale,
                 values->data() + at);
    }
  } else if (encoding == v1::ENCODING_SPARSE) {
    for (size_t i = 0; i < values->size(); ++i) {
      if (i % 7 > 1) (*values)[i] = 0;
    }
  } else {
    data.resize(static_cast<size_t>(kElements * DenseElementBytes(encoding)));
    EncodeDense(encoding, values->data(), kElements, data.data());
    DecodeDense(encoding, data.data(), kElements, values->data());
  }
  return data;
}

// The push in chunks of that encoding, or the same numbers as float32.
std::vector<Part> CutPush(v1::Encoding encoding, bool encoded, int step, int worker,
                          std::mt19937* random) {
  Values values = Gradient(step, worker);
  const std::vector<std::byte> data = Encode(encoding, &values);
  const int64_t unit = encoding == v1::ENCODING_INT8 ? kInt8GroupElements : 1;
  const std::vector<int64_t> cuts = Cuts(random, 0, kElements, encoded ? unit : 1, 20);
  std::vector<Part> parts;
  for (size_t i = 0; i + 1 < cuts.size(); ++i) {
    Part part;
    part.offset = cuts[i];
    const auto at = [&](int64_t cut) { return values.begin() + cut; };
    if (!encoded) {
      part.values.assign(at(cuts[i]), at(cuts[i + 1]));
    } else if (encoding == v1::ENCODING_SPARSE) {
      part.encoding = encoding;
      part.elements = cuts[i + 1] - cuts[i];
      for (int64_t k = cuts[i]; k < cuts[i + 1]; ++k) {
        if (*at(k) == 0) continue;
        part.rows.push_back(static_cast<uint32_t>(k - cuts[i]));
        part.values.push_back(*at(k));
      }
    } else {
      const auto byte = [&](int64_t cut) {
        return data.begin() +
               (encoding == v1::ENCODING_INT8 ? Int8Bytes(cut) : cut * DenseElementBytes(encoding));
      };
      part.encoding = encoding;
      part.data.assign(byte(cuts[i]), byte(cuts[i + 1]));
    }
    parts.push_back(std::move(part));
  }
  std::shuffle(parts.begin(), parts.end(), *random);
  return parts;
}

std::string Train(const NamedOptimizer& optimizer, const Way& way, v1::Encoding encoding,
                  bool encoded) {
  Trainee trainee(SpecOf(optimizer), way.block_tiles * kTileElements, way.threads);
  std::mt19937 random(way.cuts);
  for (int step = 0; step < kSteps; ++step) {
    for (int worker = 0; worker < kWorkers; ++worker) {
      trainee.Push(static_cast<size_t>(worker), CutPush(encoding, encoded, step, worker, &random),
                   1 + worker);
    }
  }
  return trainee.Bits();
}

class DeterminismTest : public testing::TestWithParam<NamedOptimizer> {};

TEST_P(DeterminismTest, ThreadsBlocksAndChunksDoNotMatter) {
  const std::string expected = Train(GetParam(), kWays[0], v1::ENCODING_FLOAT32, true);
  for (const Way& way : kWays) {
    EXPECT_TRUE(Train(GetParam(), way, v1::ENCODING_FLOAT32, true) == expected)
        << "blocks of " << way.block_tiles << " tiles, " << way.threads << " threads";
  }
}

TEST_P(DeterminismTest, TheEncodingOfTheSameNumbersDoesNotMatter) {
  for (const v1::Encoding encoding :
       {v1::ENCODING_BFLOAT16, v1::ENCODING_FLOAT16, v1::ENCODING_INT8, v1::ENCODING_SPARSE}) {
    EXPECT_TRUE(Train(GetParam(), kWays[1], encoding, /*encoded=*/true) ==
                Train(GetParam(), kWays[2], encoding, /*encoded=*/false))
        << v1::Encoding_Name(encoding);
  }
}

INSTANTIATE_TEST_SUITE_P(Table, DeterminismTest, testing::ValuesIn(EveryOptimizerAndStage()),
                         [](const auto& param) { return param.param.name; });

// Some rows of all matrices, in chunks of whole rows; the rest as it is, in chunks too.
std::vector<Part> CutRows(int step, int worker, std::mt19937* cuts) {
  const Values values = Gradient(step, worker);
  std::mt19937 random(static_cast<unsigned>(100 + step * kWorkers + worker));
  std::vector<Part> parts;
  for (const Tensor& tensor : Tensors()) {
    const bool matrix = tensor.shape.size() == 2;
    const int64_t width = matrix ? tensor.shape[1] : 1;
    std::vector<bool> there;  // By row: several in a row, then several not.
    for (int64_t row = 0; row < tensor.shape[0]; ++row) {
      there.push_back(random() % 5 == 0 ? random() % 2 == 0 : row > 0 && there.back());
    }
    const std::vector<int64_t> ends = Cuts(cuts, tensor.begin, tensor.end, width, 8);
    for (size_t i = 0; i + 1 < ends.size(); ++i) {
      Part part;
      part.offset = ends[i];
      if (matrix) part.tensor_elements = ends[i + 1] - ends[i];
      for (int64_t at = ends[i]; at < ends[i + 1]; at += width) {
        const int64_t row = (at - tensor.begin) / width;
        if (matrix && !there[static_cast<size_t>(row)]) continue;
        if (matrix) part.rows.push_back(static_cast<uint32_t>((at - ends[i]) / width));
        part.values.insert(part.values.end(), values.begin() + at, values.begin() + at + width);
      }
      parts.push_back(std::move(part));
    }
  }
  std::shuffle(parts.begin(), parts.end(), *cuts);
  return parts;
}

std::string TrainRows(const NamedOptimizer& optimizer, const Way& way, bool one_worker) {
  v1::Run spec = SpecOf(optimizer);
  const int workers = one_worker ? 1 : kWorkers;
  spec.mutable_policy()->mutable_synchronous()->set_workers(workers);
  Trainee trainee(spec, way.block_tiles * kTileElements, way.threads);
  std::mt19937 cuts(way.cuts);
  for (int step = 0; step < kSteps; ++step) {
    for (int worker = 0; worker < workers; ++worker) {
      trainee.Push(static_cast<size_t>(worker), CutRows(step, worker, &cuts), 1 + worker);
    }
  }
  return trainee.Bits();
}

class RowsDeterminismTest : public testing::TestWithParam<NamedOptimizer> {};

TEST_P(RowsDeterminismTest, ThreadsBlocksAndChunksDoNotMatter) {
  for (const bool one_worker : {true, false}) {
    const std::string expected = TrainRows(GetParam(), kWays[0], one_worker);
    for (unsigned seed = 0; seed < 8; ++seed) {
      Way way = kWays[seed % 4];
      way.cuts = 10 + seed;
      EXPECT_TRUE(TrainRows(GetParam(), way, one_worker) == expected)
          << "blocks of " << way.block_tiles << " tiles, " << way.threads << " threads, cuts "
          << way.cuts << (one_worker ? ", one worker" : ", two workers");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Table, RowsDeterminismTest, testing::ValuesIn(EveryLazyOptimizer()),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace gradd

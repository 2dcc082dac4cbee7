#include "tests/core/run/cut_push.h"

#include <algorithm>
#include <cstring>

#include "core/codec/dense.h"
#include "core/codec/int8.h"
#include "core/codec/sparse.h"

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
  std::mt19937 random(static_cast<unsigned>(step * kCutWorkers + worker));
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

}  // namespace

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
  spec.mutable_policy()->mutable_synchronous()->set_workers(kCutWorkers);
  return spec;
}

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

std::vector<Part> CutRows(int step, int worker, std::mt19937* cuts) {
  const Values values = Gradient(step, worker);
  std::mt19937 random(static_cast<unsigned>(100 + step * kCutWorkers + worker));
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

}  // namespace gradd

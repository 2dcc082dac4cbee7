#include "tests/core/run/pairs/pushed_gradient.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "core/codec/dense.h"
#include "core/codec/int8.h"
#include "core/codec/random_k.h"
#include "core/codec/sparse.h"
#include "core/codec/top_k.h"
#include "tests/core/run/pairs/tiny_model.h"

namespace gradd {
namespace {

using Bytes = std::vector<std::byte>;

constexpr auto kElements = static_cast<int64_t>(kTinyElements);

// SplitMix64's finalizer.
uint64_t Hash(uint64_t seed, uint64_t index) {
  uint64_t z = seed * 0x9e3779b97f4a7c15 + index * 0xd1342543de82ef95 + 0x2545f4914f6cdd1d;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// About as large as the parameters; small where nothing is trained.
std::vector<float> Gradient(uint64_t seed) {
  const TinyTensor& still = TinyTensors()[kStill];
  std::vector<float> gradient(kTinyElements);
  for (size_t i = 0; i < gradient.size(); ++i) {
    const double unit = static_cast<double>(Hash(seed, i) >> 11) * 0x1p-52 - 1;
    const bool trained = i < still.begin || i >= still.begin + still.size();
    gradient[i] = static_cast<float>((trained ? 1.7 : 0.01) * unit);
  }
  return gradient;
}

template <typename Number>
Number Read(const std::byte* from) {
  Number number;
  std::memcpy(&number, from, sizeof(number));
  return number;
}

// Of IEEE 754's binary16, by its definition.
double Half(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return bits >> 15 != 0 ? -magnitude : magnitude;
}

double Dense(v1::Encoding encoding, const std::byte* from) {
  if (encoding == v1::ENCODING_FLOAT32) return static_cast<double>(Read<float>(from));
  const auto bits = Read<uint16_t>(from);
  if (encoding == v1::ENCODING_FLOAT16) return Half(bits);
  const uint32_t upper = static_cast<uint32_t>(bits) << 16;
  return static_cast<double>(Read<float>(reinterpret_cast<const std::byte*>(&upper)));
}

Part Chunk(v1::Encoding encoding, int64_t offset, Bytes data) {
  Part part;
  part.offset = offset;
  part.encoding = encoding;
  part.data = std::move(data);
  return part;
}

// From each of these elements to the next one.
constexpr std::array<int64_t, 4> kDenseCuts = {0, 1000, 2050, kElements};

void AddDense(v1::Encoding encoding, const std::vector<float>& gradient, PushedGradient* pushed) {
  const int64_t width = DenseElementBytes(encoding);
  for (size_t cut = 0; cut + 1 < kDenseCuts.size(); ++cut) {
    const int64_t begin = kDenseCuts[cut];
    const int64_t size = kDenseCuts[cut + 1] - begin;
    Bytes data(static_cast<size_t>(size * width));
    EncodeDense(encoding, gradient.data() + begin, size, data.data());
    for (int64_t i = 0; i < size; ++i) {
      pushed->values[static_cast<size_t>(begin + i)] = Dense(encoding, data.data() + i * width);
    }
    pushed->parts.push_back(Chunk(encoding, begin, std::move(data)));
  }
}

void AddInt8(const std::vector<float>& gradient, uint64_t seed, PushedGradient* pushed) {
  for (int64_t begin = 0; begin < kElements; begin += kInt8GroupElements) {
    const int64_t size = std::min(kInt8GroupElements, kElements - begin);
    Bytes data(static_cast<size_t>(Int8Bytes(size)));
    EncodeInt8(gradient.data() + begin, size, seed, begin, data.data());
    const auto scale = static_cast<double>(Read<float>(data.data()));
    for (int64_t i = 0; i < size; ++i) {
      pushed->values[static_cast<size_t>(begin + i)] =
          Read<int8_t>(data.data() + sizeof(float) + i) * scale;
    }
    pushed->parts.push_back(Chunk(v1::ENCODING_INT8, begin, std::move(data)));
  }
}

void AddSparse(const std::vector<float>& gradient, const std::vector<uint32_t>& indices,
               PushedGradient* pushed) {
  constexpr std::array<int64_t, 3> kCuts = {0, 2040, kElements};
  for (size_t cut = 0; cut + 1 < kCuts.size(); ++cut) {
    const auto of = [&](int64_t element) {
      return std::lower_bound(indices.begin(), indices.end(), static_cast<uint32_t>(element));
    };
    const std::vector<uint32_t> chosen(of(kCuts[cut]), of(kCuts[cut + 1]));
    std::vector<float> values;
    values.reserve(chosen.size());
    for (const uint32_t index : chosen) values.push_back(gradient[index]);
    Bytes data(chosen.size() * kSparsePairBytes);
    EncodeSparse(chosen, values, static_cast<uint32_t>(kCuts[cut]), data.data());
    for (size_t i = 0; i < chosen.size(); ++i) {
      const auto index = Read<uint32_t>(data.data() + i * sizeof(uint32_t));
      const std::byte* const value = data.data() + (chosen.size() + i) * sizeof(float);
      pushed->values[static_cast<size_t>(kCuts[cut]) + index] =
          static_cast<double>(Read<float>(value));
    }
    pushed->parts.push_back(Chunk(v1::ENCODING_SPARSE, kCuts[cut], std::move(data)));
    pushed->parts.back().elements = kCuts[cut + 1] - kCuts[cut];
  }
}

// Some rows of the matrices, all of the vector, and none of what is never trained.
void AddRows(const std::vector<float>& gradient, uint64_t seed, PushedGradient* pushed) {
  pushed->has_value.assign(kTinyElements, 0);
  for (size_t index = 0; index < TinyTensors().size(); ++index) {
    const TinyTensor& tensor = TinyTensors()[index];
    Part part;
    part.offset = static_cast<int64_t>(tensor.begin);
    const auto take = [&](size_t begin, size_t size) {
      for (size_t i = begin; i < begin + size; ++i) {
        part.values.push_back(gradient[i]);
        pushed->values[i] = static_cast<double>(gradient[i]);
        pushed->has_value[i] = 1;
      }
    };
    if (index == kBias) {
      take(tensor.begin, tensor.size());
    } else {
      part.tensor_elements = static_cast<int64_t>(tensor.size());
      for (size_t row = 0; row < tensor.rows; ++row) {
        if (Hash(seed + 1, 1'000'000 + tensor.begin + row) % 5 < 2) continue;
        part.rows.push_back(static_cast<uint32_t>(row));
        take(tensor.begin + row * tensor.columns, tensor.columns);
      }
    }
    pushed->parts.push_back(std::move(part));
  }
}

}  // namespace

std::string NameOf(PushForm form) {
  constexpr const char* kNames[] = {"float32", "bfloat16", "float16", "int8",
                                    "top_k",   "random_k", "rows"};
  return kNames[static_cast<size_t>(form)];
}

PushedGradient MakePushedGradient(PushForm form, uint64_t seed) {
  const std::vector<float> gradient = Gradient(seed);
  PushedGradient pushed;
  pushed.values.assign(kTinyElements, 0);
  std::vector<uint32_t> indices;
  switch (form) {
    case PushForm::kFloat32:
      AddDense(v1::ENCODING_FLOAT32, gradient, &pushed);
      break;
    case PushForm::kBfloat16:
      AddDense(v1::ENCODING_BFLOAT16, gradient, &pushed);
      break;
    case PushForm::kFloat16:
      AddDense(v1::ENCODING_FLOAT16, gradient, &pushed);
      break;
    case PushForm::kInt8:
      AddInt8(gradient, seed, &pushed);
      break;
    case PushForm::kTopK:
      TopK().Select(gradient, 60, &indices);
      AddSparse(gradient, indices, &pushed);
      break;
    case PushForm::kRandomK:
      RandomK(kElements, kElements / 2, seed, &indices);
      AddSparse(gradient, indices, &pushed);
      break;
    case PushForm::kRows:
      AddRows(gradient, seed, &pushed);
      break;
  }
  // Chunks come in any order.
  if (seed % 2 == 1) std::reverse(pushed.parts.begin(), pushed.parts.end());
  return pushed;
}

std::vector<Part> NonFiniteParts() {
  std::vector<float> gradient(kTinyElements, 1);
  gradient[kTinyElements - 1] = std::numeric_limits<float>::quiet_NaN();
  PushedGradient pushed;
  pushed.values.resize(kTinyElements);
  AddDense(v1::ENCODING_FLOAT32, gradient, &pushed);
  return pushed.parts;
}

}  // namespace gradd

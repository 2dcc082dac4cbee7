// What every optimizer of the table, every stage around it and every encoding makes of random
// numbers, as one line `name hash` each. The same program is built for several kinds of processor;
// all must print the same.

#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/codec/dense.h"
#include "core/codec/int8.h"
#include "core/optim/update_plan.h"
#include "core/schedule/schedule.h"
#include "tests/core/optim/optimizer_table.h"

namespace gradd {
namespace {

using Values = std::vector<float>;

// FNV-1a.
class Hash {
 public:
  void Add(const void* data, size_t size) {
    const auto* const bytes = static_cast<const unsigned char*>(data);
    for (size_t i = 0; i < size; ++i) value_ = (value_ ^ bytes[i]) * 0x100000001b3;
  }
  template <typename T>
  void Add(const std::vector<T>& values) {
    Add(values.data(), values.size() * sizeof(T));
  }
  void Print(const std::string& name) const {
    std::printf("%s %016llx\n", name.c_str(), static_cast<unsigned long long>(value_));
  }

 private:
  uint64_t value_ = 0xcbf29ce484222325;
};

// Of all magnitudes, without calls of the C library.
Values Random(int64_t size, unsigned seed) {
  std::mt19937 random(seed);
  Values values;
  for (int64_t i = 0; i < size; ++i) {
    const auto fraction = static_cast<float>(static_cast<int>(random() % 2000001) - 1000000) / 1e6F;
    const float scale = i % 10 == 0 ? 1.0F / static_cast<float>(1U << (random() % 30)) : 1.0F;
    values.push_back(fraction * scale);
  }
  return values;
}

class Reader final : public GradientReader {
 public:
  explicit Reader(const float* at) : at_(at) {}
  const UnalignedFloat* Next(int64_t size) override { return std::exchange(at_, at_ + size); }

 private:
  const float* at_;
};

// A matrix whose sides are no multiples of a kernel's, a convolution, a vector and a scalar.
Layout TestLayout() {
  v1::Layout message;
  int index = 0;
  for (const std::vector<int64_t>& shape :
       std::vector<std::vector<int64_t>>{{70, 301}, {130, 37}, {5, 3, 7, 2}, {2500}, {}}) {
    v1::Tensor* const tensor = message.add_tensors();
    tensor->set_name(std::to_string(index++));
    for (const int64_t side : shape) tensor->add_shape(side);
  }
  return *Layout::Create(message, 1 << 20);
}

void HashOptimizer(const std::string& name, const v1::Optimizer& spec, double learning_rate) {
  constexpr int kSteps = 12;
  const Layout layout = TestLayout();
  const int64_t elements = layout.element_count();
  const int64_t block_elements = (elements / kTileElements + 1) * kTileElements;
  auto plan = *UpdatePlan::Create(layout, spec, {}, block_elements);
  plan->Allocate();
  Values parameters = Random(elements, 1);
  std::vector<Values> slots;
  for (const SlotVector& slot : plan->slots(nullptr).slots) {
    slots.emplace_back(parameters);
    for (const SlotVector::Section& section : slot.sections) {
      if (section.starts_at_parameters) continue;
      std::fill(slots.back().begin() + section.begin, slots.back().begin() + section.end,
                section.initial_value);
    }
  }
  ParameterStore::BlockUpdate block;
  block.size = elements;
  block.parameters_in = parameters.data();
  block.parameters_out = parameters.data();
  for (Values& slot : slots) {
    block.slots_in.push_back(slot.data());
    block.slots_out.push_back(slot.data());
  }
  Hash hash;
  for (int step = 0; step < kSteps; ++step) {
    const Values gradient = Random(elements, static_cast<unsigned>(100 + step));
    plan->BeginStep({step, learning_rate, 10.0 / (1 + step)});
    for (int pass = 0; pass < plan->transform_passes(); ++pass) {
      for (int64_t i = 0; i < plan->transformed_tensors(); ++i) {
        Reader of_gradient(gradient.data() + plan->transformed_begin(i));
        Reader of_parameters(parameters.data() + plan->transformed_begin(i));
        plan->TransformTensor(i, &of_gradient, &of_parameters);
      }
      plan->EndTransforms();
    }
    for (int pass = 0; pass < plan->sum_passes(); ++pass) {
      Reader reader(gradient.data());
      plan->SumBlock(block, &reader);
      plan->EndSums();
    }
    Reader reader(gradient.data());
    plan->UpdateBlock(block, &reader);
    const TileNorms norms = plan->EndStep();
    for (const double norm : {norms.gradient, norms.update, norms.parameters}) {
      hash.Add(&norm, sizeof(norm));
    }
  }
  hash.Add(parameters);
  for (const Values& slot : slots) hash.Add(slot);
  for (const auto& [entry, values] : plan->state()) {
    hash.Add(entry.data(), entry.size());
    std::visit([&hash](const auto& kept) { hash.Add(kept); }, values);
  }
  hash.Print(name);
}

void HashOptimizers() {
  for (const OptimizerCase& row : OptimizerTable()) {
    v1::Optimizer spec;
    google::protobuf::TextFormat::ParseFromString(row.spec, &spec);
    HashOptimizer(row.name, spec, row.learning_rate);
  }
  const char* const stages[] = {
      "centralize_gradient: true", "adaptive_clipping: 0.01",  "clip_by_value: 0.1",
      "clip_by_tensor_norm: 0.5",  "clip_by_global_norm: 0.5", "look_ahead { interval: 3 }",
      "parameter_average {}",      "weight_decay: 0.1",
  };
  for (const char* const kind : {"adam {}", "muon {}"}) {
    for (const char* const stage : stages) {
      const std::string text = std::string(kind) + " " + stage;
      v1::Optimizer spec;
      google::protobuf::TextFormat::ParseFromString(text, &spec);
      HashOptimizer(text, spec, 0.01);
    }
  }
}

void HashEncodings() {
  const Values values = Random(10'007, 7);
  const auto size = static_cast<int64_t>(values.size());
  for (const v1::Encoding encoding : {v1::ENCODING_BFLOAT16, v1::ENCODING_FLOAT16}) {
    std::vector<std::byte> bytes(values.size() * sizeof(float));
    Values decoded(values.size());
    EncodeDense(encoding, values.data(), size, bytes.data());
    DecodeDense(encoding, bytes.data(), size, decoded.data());
    Hash hash;
    hash.Add(bytes);
    hash.Add(decoded);
    hash.Print(v1::Encoding_Name(encoding));
  }
  std::vector<std::byte> bytes(2 * values.size() + 64);
  Values decoded(values.size());
  EncodeInt8(values.data(), size, /*seed=*/3, /*first=*/2048, bytes.data());
  DecodeInt8(bytes.data(), size, 0.01F, decoded.data());
  Hash hash;
  hash.Add(bytes);
  hash.Add(decoded);
  hash.Print("int8");
}

}  // namespace
}  // namespace gradd

int main() {
  gradd::HashOptimizers();
  gradd::HashEncodings();
  return 0;
}

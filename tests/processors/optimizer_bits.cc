// What every optimizer of the table (also in parameter groups and with rows missing), every stage
// around some of them, every encoding and inner products make of random numbers, and what every
// initializer makes, as one line `name hash` each. The same program is built for several kinds of
// processor; all must print what is in tests/golden/optimizer_bits.txt. A change that is meant to
// change bits writes that file anew:
//   build/release/tests/processors/optimizer_bits > tests/golden/optimizer_bits.txt

#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/base/inner_products.h"
#include "core/base/thread_pool.h"
#include "core/codec/dense.h"
#include "core/codec/int8.h"
#include "core/optim/update_plan.h"
#include "core/schedule/schedule.h"
#include "core/store/initializer.h"
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

// Has all of a gradient but every third row of the first tensor, beginning with row `first`.
class RowsReader final : public SpanReader {
 public:
  RowsReader(const float* gradient, int64_t elements, int64_t first)
      : gradient_(gradient), elements_(elements), first_(first) {}

  int64_t Seek(int64_t end) override {
    while (at_ < end && Missing(at_)) at_ = (at_ / kColumns + 1) * kColumns;
    return std::min(at_, end);
  }
  Span Next(int64_t end) override {
    int64_t stop = std::min({end, at_ + kTileElements, elements_});
    if (at_ < kRows * kColumns) stop = std::min(stop, (at_ / kColumns + 1) * kColumns);
    const int64_t begin = std::exchange(at_, stop);
    return {stop - begin, gradient_ + begin};
  }

  static constexpr int64_t kRows = 70;
  static constexpr int64_t kColumns = 301;

 private:
  bool Missing(int64_t element) const {
    return element < kRows * kColumns && (element / kColumns) % 3 == first_ % 3;
  }

  const float* gradient_;
  const int64_t elements_;
  const int64_t first_;
  int64_t at_ = 0;
};

// A matrix whose sides are no multiples of a kernel's, another one, a convolution, a vector and a
// scalar: "0" to "4".
Layout TestLayout() {
  v1::Layout message;
  int index = 0;
  for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{
           {RowsReader::kRows, RowsReader::kColumns}, {130, 37}, {5, 3, 7, 2}, {2500}, {}}) {
    v1::Tensor* const tensor = message.add_tensors();
    tensor->set_name(std::to_string(index++));
    for (const int64_t side : shape) tensor->add_shape(side);
  }
  return *Layout::Create(message, 1 << 20);
}

// What is trained how.
struct Recipe {
  std::string name;
  std::string optimizer;            // v1::Optimizer in text format.
  std::vector<std::string> groups;  // v1::ParameterGroup.
  double learning_rate = 0.01;
};

std::unique_ptr<UpdatePlan> MakePlan(const Layout& layout, const Recipe& recipe) {
  v1::Optimizer optimizer;
  google::protobuf::TextFormat::ParseFromString(recipe.optimizer, &optimizer);
  google::protobuf::RepeatedPtrField<v1::ParameterGroup> groups;
  for (const std::string& group : recipe.groups) {
    google::protobuf::TextFormat::ParseFromString(group, groups.Add());
  }
  const int64_t tiles = layout.element_count() / kTileElements + 1;
  return *UpdatePlan::Create(layout, optimizer, groups, tiles * kTileElements);
}

// All vectors of a run, in one block.
class Vectors {
 public:
  Vectors(const UpdatePlan& plan, int64_t elements) : parameters_(Random(elements, 1)) {
    for (const SlotVector& slot : plan.slots(nullptr).slots) {
      slots_.emplace_back(parameters_);
      for (const SlotVector::Section& section : slot.sections) {
        if (section.starts_at_parameters) continue;
        std::fill(slots_.back().begin() + section.begin, slots_.back().begin() + section.end,
                  section.initial_value);
      }
    }
    block_.size = elements;
    block_.parameters_in = parameters_.data();
    block_.parameters_out = parameters_.data();
    for (Values& slot : slots_) {
      block_.slots_in.push_back(slot.data());
      block_.slots_out.push_back(slot.data());
    }
  }
  Vectors(const Vectors&) = delete;
  Vectors& operator=(const Vectors&) = delete;

  const ParameterStore::BlockUpdate& block() const { return block_; }
  const float* parameters() const { return parameters_.data(); }
  void AddTo(Hash* hash) const {
    hash->Add(parameters_);
    for (const Values& slot : slots_) hash->Add(slot);
  }

 private:
  Values parameters_;
  std::vector<Values> slots_;
  ParameterStore::BlockUpdate block_;
};

// One step; `by_rows`: some rows are missing, as they are in a push of rows.
TileNorms Step(int step, double learning_rate, bool by_rows, UpdatePlan* plan, Vectors* vectors) {
  const ParameterStore::BlockUpdate& block = vectors->block();
  const Values gradient = Random(block.size, static_cast<unsigned>(100 + step));
  plan->BeginStep({step, learning_rate, 10.0 / (1 + step)}, by_rows);
  for (int pass = 0; pass < plan->transform_passes(); ++pass) {
    for (int64_t i = 0; i < plan->transformed_tensors(); ++i) {
      Reader of_gradient(gradient.data() + plan->transformed_begin(i));
      Reader of_parameters(vectors->parameters() + plan->transformed_begin(i));
      plan->TransformTensor(i, &of_gradient, &of_parameters);
    }
    plan->EndTransforms();
  }
  if (by_rows && plan->NeedsMeasure()) plan->MeasureBlock(block);
  for (int pass = 0; pass < plan->sum_passes(); ++pass) {
    if (by_rows) {
      RowsReader reader(gradient.data(), block.size, step);
      plan->SumSpans(block, &reader);
    } else {
      Reader reader(gradient.data());
      plan->SumBlock(block, &reader);
    }
    plan->EndSums();
  }
  if (by_rows) {
    RowsReader reader(gradient.data(), block.size, step);
    plan->UpdateSpans(block, &reader);
  } else {
    Reader reader(gradient.data());
    plan->UpdateBlock(block, &reader);
  }
  return plan->EndStep();
}

// `vectors_only`: without what the plan keeps besides.
void HashRecipe(const Recipe& recipe, bool by_rows = false, bool vectors_only = false) {
  constexpr int kSteps = 12;
  const Layout layout = TestLayout();
  const auto plan = MakePlan(layout, recipe);
  plan->Allocate();
  Vectors vectors(*plan, layout.element_count());
  Hash hash;
  for (int step = 0; step < kSteps; ++step) {
    const TileNorms norms = Step(step, recipe.learning_rate, by_rows, plan.get(), &vectors);
    for (const double norm : {norms.gradient, norms.update, norms.parameters}) {
      hash.Add(&norm, sizeof(norm));
    }
  }
  vectors.AddTo(&hash);
  if (!vectors_only) {
    for (const auto& [entry, values] : plan->state()) {
      hash.Add(entry.data(), entry.size());
      std::visit([&hash](const auto& kept) { hash.Add(kept); }, values);
    }
  }
  hash.Print(recipe.name);
}

// Whether every element is updated by itself.
bool IsElementwise(const Layout& layout, const std::string& optimizer) {
  const auto plan = MakePlan(layout, {"", optimizer, {}});
  return plan->sum_passes() == 0 && plan->transformed_tensors() == 0;
}

bool IsLazy(const Layout& layout, const std::string& optimizer) {
  return MakePlan(layout, {"", optimizer, {}})->IsLazy(0);
}

void HashOptimizers() {
  const Layout layout = TestLayout();
  for (const OptimizerCase& row : OptimizerTable()) {
    HashRecipe({row.name, row.spec, {}, row.learning_rate});
    // Groups with optimizers of their own, and one that is frozen.
    const std::string again = "optimizer { " + row.spec + " }";
    HashRecipe({row.name + " groups",
                row.spec,
                {"pattern: '0' optimizer { momentum {} }", "pattern: '1' frozen: true",
                 "pattern: '[23]' learning_rate_factor: 0.5 " + again},
                row.learning_rate});
    if (IsElementwise(layout, row.spec)) {
      HashRecipe({row.name + " factor",
                  row.spec,
                  {"pattern: '[13]' learning_rate_factor: 0.5"},
                  row.learning_rate},
                 /*by_rows=*/false, /*vectors_only=*/true);
    }
    if (IsLazy(layout, row.spec)) {
      HashRecipe({row.name + " rows", row.spec, {}, row.learning_rate}, /*by_rows=*/true);
    }
  }
}

void HashStages() {
  const char* const stages[] = {
      "centralize_gradient: true", "adaptive_clipping: 0.01",  "clip_by_value: 0.1",
      "clip_by_tensor_norm: 0.5",  "clip_by_global_norm: 0.5", "look_ahead { interval: 3 }",
      "parameter_average {}",      "weight_decay: 0.1",
  };
  const Layout layout = TestLayout();
  for (const char* const kind : {"adam {}", "muon {}", "prodigy {}", "novo_grad {}"}) {
    for (const char* const stage : stages) {
      const std::string text = std::string(kind) + " " + stage;
      HashRecipe({text, text, {}});
      if (IsLazy(layout, text)) HashRecipe({text + " rows", text, {}}, /*by_rows=*/true);
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

void HashInnerProducts() {
  const Values a = Random(2'048, 8);
  const Values b = Random(2'048, 9);
  ProductSum sums[3];
  for (int64_t at = 0; at < 2'000; at += 500) {
    AddSquaresAndProducts(at, &a[at], &b[at], 500, &sums[0], &sums[1]);
    AddSquares(at, &b[at], 500, &sums[0]);
    AddProducts(at, &a[at], &a[at + 1], 500, &sums[2]);
  }
  Hash hash;
  for (const ProductSum& sum : sums) {
    const double value = sum.Sum();
    hash.Add(&value, sizeof(value));
  }
  hash.Print("inner products");
}

void HashInitialValues() {
  ThreadPool pool(1);
  for (const char* const initializer :
       {"uniform { low: -1 high: 2 }", "normal {}", "truncated_normal { mean: 0.5 }",
        "kaiming_uniform { negative_slope: 0.1 }", "kaiming_normal { fan: FAN_OUT }",
        "xavier_uniform {}", "xavier_normal { gain: 3 }", "orthogonal { gain: 2 }"}) {
    v1::Layout layout;
    v1::Tensor& tensor = *layout.add_tensors();
    tensor.set_name("w");
    tensor.add_shape(97);
    tensor.add_shape(151);
    google::protobuf::TextFormat::ParseFromString(initializer, tensor.mutable_initializer());
    std::vector<float> values(97 * 151);
    std::vector<double> scratch(static_cast<size_t>(InitialScratchSize(layout)));
    const LayoutInitializer initial(layout, /*seed=*/5);
    if (!initial.Fill(0, static_cast<int64_t>(values.size()), values.data()).ok()) std::abort();
    initial.FillWhole(
        static_cast<int64_t>(values.size()), [&](int64_t) { return values.data(); }, scratch.data(),
        &pool);
    Hash hash;
    hash.Add(values);
    std::string name = std::string("initial ") + initializer;
    std::replace(name.begin(), name.end(), ' ', '_');
    hash.Print(name);
  }
}

}  // namespace
}  // namespace gradd

int main() {
  gradd::HashInitialValues();
  gradd::HashOptimizers();
  gradd::HashStages();
  gradd::HashEncodings();
  gradd::HashInnerProducts();
  return 0;
}

// For official_reader_test.py:
//   checkpoint_example write FILE    writes a checkpoint of a small run, and prints what is in the
//   run checkpoint_example read FILE     prints what SafetensorsReader reads
// Each tensor is a line of JSON: its name, shape and values.

#include <cstdio>
#include <future>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "core/durability/checkpoint_format.h"
#include "core/durability/safetensors_reader.h"
#include "core/run/run_registry.h"
#include "nlohmann/json.hpp"
#include "tests/core/durability/checkpoint_files.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"

namespace gradd {
namespace {

v1::Run Spec() {
  v1::Run spec;
  const auto add = [&spec](const char* name, const std::vector<int64_t>& shape) {
    v1::Tensor& tensor = *spec.mutable_layout()->add_tensors();
    tensor.set_name(name);
    for (const int64_t dimension : shape) tensor.add_shape(dimension);
    tensor.mutable_initializer()->mutable_uniform()->set_high(1);
  };
  add("embedding/table", {5, 4});
  add("bias", {4});
  add("scale", {});
  // Slots of some tensors only, and vectors for whole ones.
  spec.mutable_optimizer()->mutable_adam();
  spec.mutable_optimizer()->set_accumulation_steps(2);
  v1::ParameterGroup& group = *spec.add_groups();
  group.set_pattern("embedding/.*");
  group.mutable_optimizer()->mutable_adafactor();
  spec.mutable_schedule()->set_learning_rate(0.1);
  spec.mutable_policy()->mutable_asynchronous();
  spec.set_seed(5);
  return spec;
}

template <typename Values>
void Print(const std::string& name, const std::vector<int64_t>& shape, const Values& values) {
  std::cout << nlohmann::json{{"name", name}, {"shape", shape}, {"values", values}}.dump() << '\n';
}

template <typename NameOf>
void PrintVector(const v1::Layout& layout, const BlockVector& blocks,
                 const std::vector<SlotVector::Section>& sections, const NameOf& name_of) {
  VisitTensorsIn(layout, sections, [&](const v1::Tensor& tensor, int64_t begin) {
    const float* const first = blocks[0].data() + begin;  // All of it is one block.
    Print(name_of(tensor.name()), {tensor.shape().begin(), tensor.shape().end()},
          std::vector<float>(first, first + ElementCount(tensor)));
  });
}

int Write(const std::string& path) {
  FakeClock clock;
  RunRegistry registry(Limits(), /*threads=*/1, &clock);
  const auto run = *registry.Create("example", Spec(), "");
  FakeWorker worker(&registry, "example", "w");
  worker.Join();
  for (int64_t sequence = 1; sequence <= 3; ++sequence) {
    worker.Push(sequence, (sequence - 1) / 2, std::vector<float>(25, 0.25F));
    worker.WaitForResult(static_cast<size_t>(sequence) - 1);
  }
  std::promise<std::shared_ptr<const RunCapture>> promise;
  run->Capture([&](const auto& capture) { promise.set_value(*capture); });
  const auto capture = promise.get_future().get();
  const absl::Status written = WriteCheckpoint(FileSystem::Real(), path, capture);
  if (!written.ok()) {
    std::cerr << written << '\n';
    return 1;
  }
  const v1::Layout& layout = capture->state.spec().layout();
  const EngineVectors& vectors = capture->vectors;
  const std::vector<SlotVector::Section> all = {
      {0, vectors.snapshot->element_count, 0, false, false}};
  PrintVector(layout, vectors.snapshot->parameters, all, [](const auto& name) { return name; });
  for (const SnapshotSlot& slot : vectors.snapshot->slots) {
    PrintVector(layout, slot.blocks, slot.sections,
                [&](const auto& name) { return SlotTensorName(slot.name, name); });
  }
  PrintVector(layout, vectors.window, all, WindowTensorName);
  for (const auto& entry : vectors.plan) {
    std::visit(
        [&](const auto& values) {
          Print(kPlanPrefix + entry.first, {static_cast<int64_t>(values.size())}, values);
        },
        entry.second);
  }
  return 0;
}

int Read(const std::string& path) {
  const auto reader = SafetensorsReader::Open(FileSystem::Real(), path);
  if (!reader.ok()) {
    std::cerr << reader.status() << '\n';
    return 1;
  }
  for (const SafetensorsTensor& tensor : (*reader)->tensors()) {
    std::vector<float> values(static_cast<size_t>(tensor.elements()));
    const absl::Status read = (*reader)->ReadFloats(tensor, 0, tensor.elements(), values.data());
    if (read.ok()) {
      Print(tensor.name, tensor.shape, values);
    } else {
      Print(tensor.name, tensor.shape, std::string(read.message()));
    }
  }
  return 0;
}

}  // namespace
}  // namespace gradd

int main(int argc, char** argv) {
  const std::string what = argc == 3 ? argv[1] : "";
  if (what == "write") return gradd::Write(argv[2]);
  if (what == "read") return gradd::Read(argv[2]);
  std::cerr << "checkpoint_example write|read FILE\n";
  return 2;
}

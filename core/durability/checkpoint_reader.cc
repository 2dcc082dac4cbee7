#include "core/durability/checkpoint_reader.h"

#include <algorithm>
#include <limits>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "core/durability/checked_read.h"
#include "core/durability/file_checksum.h"
#include "core/durability/safetensors_reader.h"
#include "core/run/run_spec.h"
#include "core/step/run_memory.h"
#include "core/step/step_policy.h"
#include "core/store/layout.h"

namespace gradd {
namespace {

std::string TypeText(const SafetensorsType& type, absl::Span<const int64_t> shape) {
  return absl::StrCat(type.name, " [", absl::StrJoin(shape, ", "), "]");
}

// An error of something else about what is in a file.
absl::Status OfFile(const std::string& path, const absl::Status& status) {
  if (status.code() != absl::StatusCode::kInvalidArgument) return status;
  return FileInvalid(path, status.message());
}

// A checkpoint whose header was read and checked, and whose data was not.
class CheckpointFile {
 public:
  // `threads` of a run, see ValidateMutableFields().
  static absl::StatusOr<CheckpointFile> Open(FileSystem* files, const std::string& path,
                                             const Limits& limits, int64_t block_elements,
                                             int threads) {
    return Of(SafetensorsReader::Open(files, path), limits, block_elements, threads);
  }
  static absl::StatusOr<CheckpointFile> Of(
      absl::StatusOr<std::unique_ptr<SafetensorsReader>> reader, const Limits& limits,
      int64_t block_elements, int threads) {
    CheckpointFile file;
    GRADD_RETURN_IF_ERROR(reader.status());
    const std::string path = (*reader)->path();
    file.reader_ = *std::move(reader);
    auto info = ParseCheckpointInfo(path, file.reader_->metadata(), file.reader_->file().size());
    GRADD_RETURN_IF_ERROR(info.status());
    file.info_ = *std::move(info);
    auto state = ParseCheckpointState(path, file.reader_->metadata(), file.info_);
    GRADD_RETURN_IF_ERROR(state.status());
    file.state_ = *std::move(state);
    auto layout = Layout::Create(file.state_.spec().layout(), limits.max_parameters_per_run);
    GRADD_RETURN_IF_ERROR(OfFile(path, layout.status()));
    file.layout_.emplace(*std::move(layout));
    auto plan =
        ValidateMutableFields(file.state_.spec(), *file.layout_, block_elements, threads, limits);
    GRADD_RETURN_IF_ERROR(OfFile(path, plan.status()));
    file.plan_ = *std::move(plan);
    file.slots_ = file.plan_->slots(nullptr);
    GRADD_RETURN_IF_ERROR(file.CheckTensors());
    return file;
  }

  const std::string& path() const { return reader_->path(); }
  const CheckpointInfo& info() const { return info_; }
  const state::v1::RunState& state() const { return state_; }
  const Layout& layout() const { return *layout_; }
  const UpdatePlan& plan() const { return *plan_; }
  const SlotVectors& slots() const { return slots_; }
  bool has_window() const { return state_.window().pushes() > 0; }
  const std::vector<SafetensorsTensor>& tensors() const { return reader_->tensors(); }
  std::vector<SlotVector::Section> everything() const {
    return {{0, layout_->element_count(), 0, false, false}};
  }

  // Where the data of a tensor that CheckTensors() has found begins in the file.
  int64_t BeginOf(absl::string_view name) const { return BeginOf(*reader_->Find(name)); }
  int64_t BeginOf(const SafetensorsTensor& tensor) const {
    return reader_->data_begin() + tensor.begin;
  }

  // Reads all of it, see ReadChecked(), and checks the checksum.
  absl::Status ReadAll(std::vector<FilePart> parts, Executor* executor) const {
    const int64_t end = BeginOf(kChecksumTensor);
    std::string expected(kChecksumBytes, '\0');
    GRADD_RETURN_IF_ERROR(reader_->file().Read(end, kChecksumBytes, expected.data()));
    const auto found = ReadChecked(reader_->file(), end, std::move(parts), executor);
    GRADD_RETURN_IF_ERROR(found.status());
    if (*found == expected) return absl::OkStatus();
    return FileInvalid(path(),
                       absl::StrCat(kChecksumTensor, ": the checksum of the file's first ", end,
                                    " bytes is another one: it is not as it was "
                                    "written"));
  }

 private:
  CheckpointFile() = default;

  // That there is such a tensor.
  absl::Status Expect(const std::string& name, absl::string_view type,
                      absl::Span<const int64_t> shape) const {
    const SafetensorsTensor* const found = reader_->Find(name);
    const std::string expected = TypeText(*FindSafetensorsType(type), shape);
    if (found == nullptr) {
      return FileInvalid(
          path(), absl::StrCat("tensor ", Quoted(name), ": missing, ", expected, " expected"));
    }
    if (found->type->name == type && absl::MakeConstSpan(found->shape) == shape) {
      return absl::OkStatus();
    }
    return FileInvalid(
        path(), absl::StrCat("tensor ", Quoted(name), " is ", TypeText(*found->type, found->shape),
                             ", ", expected, " expected"));
  }

  // That it has the tensors of a run in that state and no others. What a plan's vectors are called,
  // and how long they are, is for the plan.
  absl::Status CheckTensors() const {
    absl::flat_hash_set<std::string> known;
    absl::Status status;
    const auto expect = [&](const std::vector<SlotVector::Section>& sections, const auto& name_of) {
      VisitTensorsIn(layout_->message(), sections, [&](const v1::Tensor& tensor, int64_t) {
        const std::string name = name_of(tensor.name());
        if (status.ok()) status = Expect(name, "F32", tensor.shape());
        known.insert(name);
      });
    };
    expect(everything(), [](const std::string& name) { return name; });
    for (const SlotVector& slot : slots_.slots) {
      expect(slot.sections,
             [&slot](const std::string& name) { return SlotTensorName(slot.name, name); });
    }
    if (has_window()) expect(everything(), WindowTensorName);
    GRADD_RETURN_IF_ERROR(status);
    GRADD_RETURN_IF_ERROR(Expect(kChecksumTensor, "U8", {kChecksumBytes}));
    if (tensors().back().name != kChecksumTensor) {
      return FileInvalid(path(), absl::StrCat(kChecksumTensor, " is not the last tensor"));
    }
    known.insert(kChecksumTensor);
    for (const SafetensorsTensor& tensor : tensors()) {
      if (absl::StartsWith(tensor.name, kPlanPrefix)) {
        const absl::string_view type = tensor.type->name;
        if (tensor.shape.size() == 1 && (type == "I64" || type == "F64" || type == "F32")) continue;
        return FileInvalid(path(), absl::StrCat("tensor ", Quoted(tensor.name), " is ",
                                                TypeText(*tensor.type, tensor.shape),
                                                ", I64, F64 or F32 [...] expected"));
      }
      if (known.count(tensor.name) > 0) continue;
      return FileInvalid(path(), absl::StrCat("tensor ", Quoted(tensor.name),
                                              ": not expected of a run in that state"));
    }
    return absl::OkStatus();
  }

  std::unique_ptr<SafetensorsReader> reader_;
  CheckpointInfo info_;
  state::v1::RunState state_;  // With the layout.
  std::optional<Layout> layout_;
  std::shared_ptr<UpdatePlan> plan_;  // Without memory.
  SlotVectors slots_;
};

// Takes the memory for what is in a file, and lists what of the file belongs where.
class CaptureBuilder {
 public:
  CaptureBuilder(const CheckpointFile& file, const RunEnvironment& environment)
      : file_(file), environment_(environment) {}

  // RESOURCE_EXHAUSTED if it is not left. Throws std::bad_alloc if the machine has not so much.
  absl::Status TakeMemory() {
    const state::v1::RunState& state = file_.state();
    capture_->state = state;
    auto memory = ClaimRunMemory(file_.info().run_id, *MakeStepPolicy(state.spec().policy()),
                                 file_.layout(), file_.plan(), environment_.budget.get());
    GRADD_RETURN_IF_ERROR(memory.status());
    GRADD_RETURN_IF_ERROR(ClaimCopies());
    const StorePools pools = StorePools::Create(memory->store);
    auto snapshot = std::make_shared<Snapshot>();
    snapshot->step = state.step();
    snapshot->element_count = file_.layout().element_count();
    snapshot->block_elements = environment_.block_elements;
    snapshot->memory = memory->store;
    const SlotVectors& slots = file_.slots();
    const auto pool_of = [&](int slot) {
      return (slot == slots.training_slot ? pools.training : pools.state).get();
    };
    snapshot->parameters = NewVector(file_.everything(), pool_of(-1));
    AddVector(snapshot->parameters, file_.everything(),
              [](const std::string& name) { return name; });
    for (size_t i = 0; i < slots.slots.size(); ++i) {
      const SlotVector& slot = slots.slots[i];
      BlockVector blocks = NewVector(slot.sections, pool_of(static_cast<int>(i)));
      AddVector(blocks, slot.sections,
                [&slot](const std::string& name) { return SlotTensorName(slot.name, name); });
      snapshot->slots.push_back({slot.name, std::move(blocks), slot.sections});
    }
    if (file_.has_window()) {
      capture_->vectors.window = NewVector(file_.everything(), BlockPool::Create().get());
      AddVector(capture_->vectors.window, file_.everything(), WindowTensorName);
    }
    AddPlan();
    capture_->vectors.snapshot = std::move(snapshot);
    capture_->vectors.place = std::make_shared<RunPlace>(*std::move(memory), pools);
    return absl::OkStatus();
  }

  std::vector<FilePart> TakeParts() { return std::move(parts_); }
  std::shared_ptr<const RunCapture> TakeCapture() { return std::move(capture_); }

 private:
  // Claims what the plan's vectors and the window take.
  absl::Status ClaimCopies() {
    int64_t bytes =
        file_.has_window() ? file_.layout().element_count() * int64_t{sizeof(float)} : 0;
    for (const SafetensorsTensor& tensor : file_.tensors()) {
      if (absl::StartsWith(tensor.name, kPlanPrefix)) bytes += tensor.end - tensor.begin;
    }
    capture_->vectors.claim = environment_.budget->Take(MemoryUse::kScratch, bytes);
    if (capture_->vectors.claim != nullptr) return absl::OkStatus();
    return ScratchTooLarge(file_.info().run_id, bytes, *environment_.budget);
  }

  // Blocks of a vector that has these sections, empty refs where it has nothing. What of a block is
  // in no section is 0.
  BlockVector NewVector(const std::vector<SlotVector::Section>& sections, BlockPool* pool) const {
    const int64_t elements = file_.layout().element_count();
    const int64_t block_elements = environment_.block_elements;
    BlockVector blocks;
    blocks.reserve(static_cast<size_t>((elements + block_elements - 1) / block_elements));
    auto section = sections.begin();
    for (int64_t begin = 0; begin < elements; begin += block_elements) {
      const int64_t end = std::min(begin + block_elements, elements);
      while (section != sections.end() && section->end <= begin) ++section;
      const bool meets = section != sections.end() && section->begin < end;
      blocks.push_back(meets ? pool->Allocate(end - begin) : BlockRef());
      const bool fills = meets && section->begin <= begin && end <= section->end;
      if (meets && !fills) std::fill_n(blocks.back().data(), end - begin, 0.0F);
    }
    return blocks;
  }

  template <typename NameOf>
  void AddVector(const BlockVector& blocks, const std::vector<SlotVector::Section>& sections,
                 const NameOf& name_of) {
    const int64_t block_elements = environment_.block_elements;
    VisitTensorsIn(file_.layout().message(), sections,
                   [&](const v1::Tensor& tensor, int64_t begin) {
                     int64_t in_file = file_.BeginOf(name_of(tensor.name()));
                     for (const int64_t end = begin + ElementCount(tensor); begin < end;) {
                       const BlockRef& block = blocks[static_cast<size_t>(begin / block_elements)];
                       const int64_t in_block = begin % block_elements;
                       const int64_t elements = std::min(end - begin, block.elements() - in_block);
                       AddPart(in_file, elements * int64_t{sizeof(float)}, block.data() + in_block);
                       in_file += elements * int64_t{sizeof(float)};
                       begin += elements;
                     }
                   });
  }

  void AddPlan() {
    for (const SafetensorsTensor& tensor : file_.tensors()) {
      absl::string_view name = tensor.name;
      if (!absl::ConsumePrefix(&name, kPlanPrefix)) continue;
      const auto add = [&](auto vector) {
        vector.resize(static_cast<size_t>(tensor.shape[0]));
        auto& kept = capture_->vectors.plan[std::string(name)];
        kept = std::move(vector);
        void* const to = std::get<decltype(vector)>(kept).data();
        AddPart(file_.BeginOf(tensor), tensor.end - tensor.begin, to);
      };
      if (absl::string_view(tensor.type->name) == "I64") {
        add(std::vector<int64_t>());
      } else if (absl::string_view(tensor.type->name) == "F64") {
        add(std::vector<double>());
      } else {
        add(std::vector<float>());
      }
    }
  }

  // What lies side by side in the file and in memory is one part.
  void AddPart(int64_t begin, int64_t bytes, void* to) {
    char* const place = static_cast<char*>(to);
    if (bytes == 0) return;
    if (!parts_.empty()) {
      FilePart& last = parts_.back();
      if (last.begin + last.bytes == begin && last.to + last.bytes == place) {
        last.bytes += bytes;
        return;
      }
    }
    parts_.push_back({begin, bytes, place});
  }

  const CheckpointFile& file_;
  const RunEnvironment& environment_;
  std::shared_ptr<RunCapture> capture_ = std::make_shared<RunCapture>();
  std::vector<FilePart> parts_;
};

absl::StatusOr<std::shared_ptr<const RunCapture>> ReadAll(const CheckpointFile& file,
                                                          const RunEnvironment& environment) {
  try {
    CaptureBuilder builder(file, environment);
    GRADD_RETURN_IF_ERROR(builder.TakeMemory());
    GRADD_RETURN_IF_ERROR(file.ReadAll(builder.TakeParts(), environment.pool));
    return builder.TakeCapture();
  } catch (const std::bad_alloc&) {
    return StateOutOfMemory(file.info().run_id);
  }
}

}  // namespace

absl::StatusOr<CheckpointInfo> ReadCheckpointInfo(FileSystem* files, const std::string& path) {
  const auto reader = SafetensorsReader::Open(files, path);
  GRADD_RETURN_IF_ERROR(reader.status());
  return ParseCheckpointInfo(path, (*reader)->metadata(), (*reader)->file().size());
}

absl::StatusOr<CheckpointInfo> VerifyCheckpoint(FileSystem* files, const std::string& path) {
  Limits limits;
  limits.max_parameters_per_run = std::numeric_limits<int64_t>::max();
  const auto file = CheckpointFile::Open(files, path, limits, kBlockElements, /*threads=*/1);
  GRADD_RETURN_IF_ERROR(file.status());
  GRADD_RETURN_IF_ERROR(file->ReadAll({}, nullptr));
  return file->info();
}

absl::StatusOr<std::shared_ptr<const RunCapture>> ReadCheckpoint(FileSystem* files,
                                                                 const std::string& path,
                                                                 const RunEnvironment& environment,
                                                                 const std::string& run_uid) {
  const auto file = CheckpointFile::Open(files, path, environment.limits,
                                         environment.block_elements, StepThreads(environment));
  GRADD_RETURN_IF_ERROR(file.status());
  if (!run_uid.empty() && file->info().run_uid != run_uid) {
    return FileInvalid(
        path, absl::StrCat("it is of the run with uid ", Quoted(file->info().run_uid), ", ",
                           Quoted(run_uid), " expected"));
  }
  return ReadAll(*file, environment);
}

absl::StatusOr<std::shared_ptr<const RunCapture>> ReadCheckpoint(
    std::string name, std::unique_ptr<ReadableFile> file, const RunEnvironment& environment) {
  const auto opened =
      CheckpointFile::Of(SafetensorsReader::Read(std::move(name), std::move(file)),
                         environment.limits, environment.block_elements, StepThreads(environment));
  GRADD_RETURN_IF_ERROR(opened.status());
  return ReadAll(*opened, environment);
}

}  // namespace gradd

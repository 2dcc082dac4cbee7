#include "core/durability/checkpoint_writer.h"

#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/durability/checkpoint_format.h"

namespace gradd {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers in files are little-endian");

// Of one call of the file system.
constexpr int64_t kMostBytesAtOnce = int64_t{1} << 20;
constexpr size_t kMostPartsAtOnce = 64;

// The type of the values of a PlanState's vector.
const SafetensorsType* TypeOf(const PlanState::mapped_type& values) {
  constexpr const char* kNames[] = {"I64", "F64", "F32"};
  static_assert(std::variant_size_v<PlanState::mapped_type> == std::size(kNames));
  return FindSafetensorsType(kNames[values.index()]);
}

SafetensorsTensor FloatTensor(std::string name, const v1::Tensor& tensor) {
  return {
      std::move(name), FindSafetensorsType("F32"), {tensor.shape().begin(), tensor.shape().end()}};
}

}  // namespace

absl::StatusOr<std::unique_ptr<CheckpointWriter>> CheckpointWriter::Begin(
    FileSystem* files, std::string path, std::shared_ptr<const RunCapture> capture,
    const Options& options) {
  std::unique_ptr<CheckpointWriter> writer(new CheckpointWriter);
  const absl::Status planned = writer->Plan(std::move(capture), options.time);
  if (!planned.ok()) return FileInvalid(path, planned.message());
  auto file = DurableFile::Create(files, std::move(path), options.sync_bytes);
  GRADD_RETURN_IF_ERROR(file.status());
  writer->file_ = *std::move(file);
  return writer;
}

void CheckpointWriter::AddBytes(const void* data, int64_t bytes,
                                std::shared_ptr<const void> keeper) {
  if (bytes == 0) return;
  parts_.push_back({{static_cast<const char*>(data), static_cast<size_t>(bytes)},
                    BlockRef(),
                    std::move(keeper)});
}

void CheckpointWriter::AddVector(const BlockVector& blocks, int64_t begin, int64_t end,
                                 const std::shared_ptr<const void>& keeper) {
  while (begin < end) {
    const BlockRef& block = blocks[static_cast<size_t>(begin / block_elements_)];
    const int64_t in_block = begin % block_elements_;
    const int64_t elements = std::min(end - begin, block.elements() - in_block);
    const absl::string_view data(reinterpret_cast<const char*>(block.data() + in_block),
                                 static_cast<size_t>(elements) * sizeof(float));
    parts_.push_back({data, block, keeper});
    begin += elements;
  }
}

// Lists all that is to be written, in the order in which it lies in the file. Numbers of 8 bytes
// come first, since readers that map the file want them aligned.
absl::Status CheckpointWriter::Plan(std::shared_ptr<const RunCapture> capture, absl::Time time) {
  const Snapshot& snapshot = *capture->vectors.snapshot;
  const v1::Layout& layout = capture->state.spec().layout();
  block_elements_ = snapshot.block_elements;
  SafetensorsHeader header;
  header.metadata = CheckpointMetadata(capture->state, time);
  for (const bool wide : {true, false}) {
    for (const auto& [name, values] : capture->vectors.plan) {
      const SafetensorsType* const type = TypeOf(values);
      if ((type->bits == 64) != wide) continue;
      std::visit(
          [&, &of = name](const auto& vector) {
            const auto size = static_cast<int64_t>(vector.size());
            header.tensors.push_back({absl::StrCat(kPlanPrefix, of), type, {size}});
            // The capture stays until all of these are written: they are one piece.
            AddBytes(vector.data(), size * int64_t{sizeof(vector[0])}, capture);
          },
          values);
    }
  }
  const std::vector<SlotVector::Section> everything = {
      {0, snapshot.element_count, 0, false, false}};
  const auto add = [&](const BlockVector& blocks, const std::vector<SlotVector::Section>& sections,
                       const auto& name_of, const std::shared_ptr<const void>& keeper) {
    VisitTensorsIn(layout, sections, [&](const v1::Tensor& tensor, int64_t /*begin*/) {
      header.tensors.push_back(FloatTensor(name_of(tensor.name()), tensor));
    });
    for (const auto& section : sections) AddVector(blocks, section.begin, section.end, keeper);
  };
  add(
      snapshot.parameters, everything, [](const std::string& name) { return name; }, nullptr);
  for (const SnapshotSlot& slot : snapshot.slots) {
    add(
        slot.blocks, slot.sections,
        [&slot](const std::string& name) { return SlotTensorName(slot.name, name); }, nullptr);
  }
  if (!capture->vectors.window.empty()) {
    add(capture->vectors.window, everything, WindowTensorName, capture->vectors.claim);
  }
  header.tensors.push_back({kChecksumTensor, FindSafetensorsType("U8"), {kChecksumBytes}});
  absl::StatusOr<std::string> text = FormatSafetensorsHeader(&header);
  GRADD_RETURN_IF_ERROR(text.status());
  bytes_ = static_cast<int64_t>(text->size()) + header.tensors.back().end;
  AddHeader(*std::move(text));
  return absl::OkStatus();
}

void CheckpointWriter::AddHeader(std::string header) {
  const auto kept = std::make_shared<const std::string>(std::move(header));
  parts_.push_front({*kept, BlockRef(), kept});
}

absl::Status CheckpointWriter::WriteParts(int64_t max_bytes) {
  std::vector<absl::string_view> pieces;
  int64_t bytes = 0;
  const int64_t most = std::min(max_bytes, kMostBytesAtOnce);
  for (const Part& part : parts_) {
    if (bytes == most || pieces.size() == kMostPartsAtOnce) break;
    pieces.push_back(part.data.substr(0, static_cast<size_t>(most - bytes)));
    bytes += static_cast<int64_t>(pieces.back().size());
  }
  GRADD_RETURN_IF_ERROR(file_->Append(pieces));
  for (const absl::string_view piece : pieces) {
    checksum_.Add(piece);
    Part& part = parts_.front();
    part.data.remove_prefix(piece.size());
    if (part.data.empty()) parts_.pop_front();
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> CheckpointWriter::WriteSome(int64_t max_bytes) {
  if (done_) return true;
  for (int64_t left = max_bytes; status_.ok() && left > 0 && !parts_.empty();) {
    const int64_t before = file_->size();
    status_ = WriteParts(left);
    left -= file_->size() - before;
  }
  if (status_.ok() && parts_.empty()) {
    status_ = file_->Append({checksum_.Finish()});
    if (status_.ok()) status_ = file_->Commit();
    done_ = status_.ok();
  }
  // Nothing of the run is held for a file that will never be.
  if (!status_.ok()) parts_.clear();
  GRADD_RETURN_IF_ERROR(status_);
  return done_;
}

}  // namespace gradd

#include "core/durability/run_import.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "core/codec/dense.h"
#include "core/durability/checkpoint_format.h"
#include "core/durability/checkpoint_reader.h"
#include "core/run/run_spec.h"
#include "core/run/timelines.h"
#include "core/store/layout.h"

namespace gradd {
namespace {

constexpr size_t kMaxFileNameBytes = 200;
constexpr int64_t kLengthBytes = 8;
// Most bytes of a file by the parameters that a run may have: in a checkpoint, some of an
// optimizer's vectors lie beside each.
constexpr int64_t kMaxBytesPerParameter = 64;
// What takes memory beside the header's text, in parts of that: what is read from it, and a layout.
constexpr int64_t kHeaderShare = 10;
// The same for messages in it: the smallest parts of some are so much larger in memory.
constexpr int64_t kMessageShare = 64;

absl::Status CheckFile(const v1::ImportBegin& begin, const Limits& limits) {
  if (begin.file().size() > kMaxFileNameBytes || !IsPrintableUtf8(begin.file())) {
    return InvalidArgument(
        "OUT_OF_RANGE",
        absl::StrCat("begin.file: ", Quoted(Abbreviated(begin.file(), 100)), ": at most ",
                     kMaxFileNameBytes, " bytes of printable UTF-8 expected"));
  }
  const int64_t most =
      kMaxSafetensorsHeaderBytes + limits.max_parameters_per_run * kMaxBytesPerParameter;
  if (begin.total_bytes() <= 0 || begin.total_bytes() > most) {
    return InvalidArgument("OUT_OF_RANGE", absl::StrCat("begin.total_bytes: ", begin.total_bytes(),
                                                        " is outside [1, ", most, "]"));
  }
  return absl::OkStatus();
}

// What a server that keeps no runs does not do.
void ForgetKeeping(v1::Run* spec) {
  spec->clear_checkpoints();
  spec->clear_journal();
  spec->clear_journal_max_bytes();
}

}  // namespace

RunImport::RunImport(RunRegistry* registry, const v1::ImportBegin& begin)
    : registry_(*registry),
      begin_(begin),
      name_(begin.file().empty() ? "the file" : begin.file()) {}

absl::StatusOr<std::unique_ptr<RunImport>> RunImport::Begin(RunRegistry* registry,
                                                            const StateDirectory* directory,
                                                            const v1::ImportBegin& begin) {
  std::unique_ptr<RunImport> import(new RunImport(registry, begin));
  auto existing = registry->FindCreated(begin.run_id(), begin.request_id());
  GRADD_RETURN_IF_ERROR(existing.status());
  import->existing_ = *std::move(existing);
  if (import->existing_ != nullptr) return import;
  GRADD_RETURN_IF_ERROR(CheckFile(begin, registry->limits()));
  if (begin.with_state() && begin.has_run()) {
    return InvalidArgument(
        "RUN_NOT_EXPECTED",
        "begin.run: with begin.with_state, it is that of the checkpoint; what is "
        "to be otherwise can be changed afterwards");
  }
  import->keeps_ = directory != nullptr;
  auto file = directory == nullptr
                  ? IncomingFile::InMemory(&registry->budget(), import->name_, begin.total_bytes())
                  : IncomingFile::OnDisk(&directory->files(), directory->IncomingPath(MakeRunUid()),
                                         begin.total_bytes());
  GRADD_RETURN_IF_ERROR(file.status());
  import->file_ = *std::move(file);
  return import;
}

absl::Status RunImport::Add(absl::string_view data) {
  const auto size = static_cast<int64_t>(data.size());
  if (size > file_->bytes() - file_->received()) {
    return FileInvalid(name_, absl::StrCat(file_->received() + size, " bytes of it were sent, ",
                                           file_->bytes(), " expected, as begin.total_bytes says"));
  }
  GRADD_RETURN_IF_ERROR(file_->Append(data));
  const int64_t hashed =
      std::clamp<int64_t>(file_->bytes() - kChecksumBytes - (file_->received() - size), 0, size);
  checksum_.Add(data.substr(0, static_cast<size_t>(hashed)));
  absl::StrAppend(&last_, data.substr(static_cast<size_t>(hashed)));
  return reader_ == nullptr ? ReadHeaderIfThere() : absl::OkStatus();
}

absl::Status RunImport::ReadHeaderIfThere() {
  // With the first byte of the header, which says at once that something is no such file.
  if (file_->received() <= kLengthBytes) return absl::OkStatus();
  const auto beginning = file_->Read();
  GRADD_RETURN_IF_ERROR(beginning.status());
  std::array<unsigned char, kLengthBytes + 1> first = {};
  GRADD_RETURN_IF_ERROR((*beginning)->Read(0, first.size(), reinterpret_cast<char*>(first.data())));
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) length |= uint64_t{first[i]} << (8 * i);
  // What the reader refuses without having read it.
  const bool is_wrong = length > uint64_t{kMaxSafetensorsHeaderBytes} ||
                        static_cast<int64_t>(length) > file_->bytes() - kLengthBytes ||
                        first.back() != '{';
  if (is_wrong) return ReadHeader(0);
  const auto header_bytes = static_cast<int64_t>(length);
  return file_->received() < kLengthBytes + header_bytes ? absl::OkStatus()
                                                         : ReadHeader(header_bytes);
}

absl::Status RunImport::Claim(int64_t bytes) {
  claim_.reset();
  claim_ = registry_.budget().Take(MemoryUse::kScratch, bytes);
  if (claim_ != nullptr) return absl::OkStatus();
  return Error(absl::StatusCode::kResourceExhausted, "IMPORT_TOO_LARGE",
               absl::StrCat(Quoted(name_), " needs ", bytes, " bytes for its header to be read; ",
                            registry_.budget().taken_bytes(), " of the server's ",
                            registry_.budget().limits().total, " are taken"));
}

absl::Status RunImport::ReadHeader(int64_t header_bytes) {
  GRADD_RETURN_IF_ERROR(Claim(header_bytes * kHeaderShare));
  auto file = file_->Read();
  GRADD_RETURN_IF_ERROR(file.status());
  auto reader = SafetensorsReader::Read(name_, *std::move(file));
  GRADD_RETURN_IF_ERROR(reader.status());
  reader_ = *std::move(reader);
  if (IsCheckpoint(*reader_)) {
    // What is not read of it is not counted, such as a state that is not asked for.
    const auto text_bytes = [this](const char* key) {
      const auto found = reader_->metadata().find(key);
      return found == reader_->metadata().end() ? 0 : static_cast<int64_t>(found->second.size());
    };
    const int64_t messages = text_bytes("layout") + (begin_.has_run() ? 0 : text_bytes("state"));
    // A state that is read is read twice.
    const int64_t bytes = header_bytes * kHeaderShare + messages * kMessageShare;
    GRADD_RETURN_IF_ERROR(Claim(begin_.with_state() ? 2 * bytes : bytes));
  }
  GRADD_RETURN_IF_ERROR(ReadSpec());
  v1::Run& spec = *begin_.mutable_run();
  const auto layout = Layout::Create(spec.layout(), registry_.limits().max_parameters_per_run);
  GRADD_RETURN_IF_ERROR(layout.status());
  // So that what is wrong is told before the data comes.
  v1::Run checked = spec;
  FillLearningRate(&checked);
  GRADD_RETURN_IF_ERROR(
      ValidateMutableFields(checked, *layout, registry_.environment().block_elements,
                            StepThreads(registry_.environment()), registry_.limits())
          .status());
  auto weights = WeightsFile::Of(reader_, *layout);
  GRADD_RETURN_IF_ERROR(weights.status());
  weights_ = *std::move(weights);
  return absl::OkStatus();
}

absl::Status RunImport::ReadSpec() {
  if (!begin_.has_run()) {
    if (!IsCheckpoint(*reader_)) {
      return InvalidArgument(
          "RUN_REQUIRED",
          absl::StrCat(Quoted(name_),
                       " is no checkpoint of gradd, which would say how to train: begin.run with "
                       "optimizer, schedule and policy expected"));
    }
    const auto info = ParseCheckpointInfo(name_, reader_->metadata(), file_->bytes());
    GRADD_RETURN_IF_ERROR(info.status());
    auto state = ParseCheckpointState(name_, reader_->metadata(), *info);
    GRADD_RETURN_IF_ERROR(state.status());
    begin_.mutable_run()->Swap(state->mutable_spec());
    if (!keeps_) ForgetKeeping(begin_.mutable_run());
    if (!begin_.with_state()) begin_.mutable_run()->mutable_schedule()->clear_begins_at();
    return absl::OkStatus();
  }
  if (begin_.run().has_layout()) return absl::OkStatus();
  auto layout = LayoutOfWeights(*reader_);
  GRADD_RETURN_IF_ERROR(layout.status());
  begin_.mutable_run()->mutable_layout()->Swap(&*layout);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const RunCapture>> RunImport::ReadState() {
  weights_.reset();
  reader_.reset();
  auto file = file_->Read();
  GRADD_RETURN_IF_ERROR(file.status());
  auto read = ReadCheckpoint(name_, *std::move(file), registry_.environment());
  GRADD_RETURN_IF_ERROR(read.status());
  const Snapshot& snapshot = *(*read)->vectors.snapshot;
  std::atomic<bool> finite{true};
  registry_.pool()->ParallelFor(
      static_cast<int64_t>(snapshot.parameters.size()), [&](int64_t block) {
        const BlockRef& values = snapshot.parameters[static_cast<size_t>(block)];
        if (!AllFinite(values.data(), values.elements())) finite.store(false);
      });
  if (!finite.load()) return FileInvalid(name_, "its parameters are not all finite");
  if (keeps_) return read;
  auto forgets = std::make_shared<RunCapture>(**read);
  ForgetKeeping(forgets->state.mutable_spec());
  return std::shared_ptr<const RunCapture>(std::move(forgets));
}

absl::Status RunImport::CheckChecksum() {
  if (!IsCheckpoint(*reader_) || checksum_.Finish() == last_) return absl::OkStatus();
  return FileInvalid(name_, absl::StrCat(kChecksumTensor, ": the checksum of the file's first ",
                                         file_->bytes() - kChecksumBytes,
                                         " bytes is another one: it is not as it was written"));
}

absl::StatusOr<std::shared_ptr<Run>> RunImport::Complete() {
  if (file_->received() < file_->bytes()) {
    return FileInvalid(name_, absl::StrCat("it is cut off: ", file_->received(), " of its ",
                                           file_->bytes(), " bytes were sent"));
  }
  if (reader_ == nullptr) GRADD_RETURN_IF_ERROR(ReadHeader(0));  // Too short to have one.
  RunOrigin origin;
  if (begin_.with_state()) {
    auto capture = ReadState();
    GRADD_RETURN_IF_ERROR(capture.status());
    origin.capture = *std::move(capture);
    const RunFork fork;
    origin.fork = &fork;
    return registry_.Create(begin_.run_id(), origin.capture->state.spec(), begin_.request_id(),
                            &origin);
  }
  GRADD_RETURN_IF_ERROR(CheckChecksum());
  origin.values = weights_.get();
  return registry_.Create(begin_.run_id(), begin_.run(), begin_.request_id(), &origin);
}

}  // namespace gradd

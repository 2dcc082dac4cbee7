#include "ctl/transfer.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/pull.h"
#include "core/base/error.h"
#include "core/base/file_system.h"
#include "core/base/new_file.h"
#include "core/base/number_text.h"
#include "core/base/utf8.h"
#include "core/codec/dense.h"
#include "ctl/checkpoint_filter.h"
#include "ctl/repeated_pull.h"
#include "ctl/run_name.h"
#include "ctl/status.h"
#include "ctl/status_line.h"
#include "ctl/text.h"
#include "nlohmann/json.hpp"

namespace gradd::ctl {
namespace {

// Slower than this, a transfer has failed.
constexpr int64_t kSlowestBytesPerSecond = 10'000'000;
// A checkpoint has vectors of the optimizer beside the parameters: so many bytes for each at most.
constexpr int64_t kCheckpointBytes = 64;
constexpr size_t kMaxFileNameBytes = 200;

absl::Duration TimeFor(int64_t bytes) { return absl::Seconds(bytes / kSlowestBytesPerSecond); }

// What has been sent or received, on the last line of a terminal.
class Progress {
 public:
  Progress(std::string what, const CommandLine& line, Console* console)
      : what_(std::move(what)), line_(line.json, console) {}

  void Show(int64_t done, int64_t total) {
    constexpr double kMegabyte = 1e6;
    const auto percent = total == 0 ? 100 : 100 * done / total;
    if (percent == percent_) return;
    percent_ = percent;
    line_.Show(absl::StrFormat("%s: %.1f of %.1f MB, %d %%", what_,
                               static_cast<double>(done) / kMegabyte,
                               static_cast<double>(total) / kMegabyte, percent));
  }

 private:
  const std::string what_;
  StatusLine line_;
  int64_t percent_ = -1;
};

// What was written, for people and programs.
struct Written {
  int64_t step = 0;
  int64_t out_of_range = 0;
  const char* what = "";
};

void Print(const Written& written, const CommandLine& line, Console* console) {
  if (written.out_of_range > 0) {
    console->err << absl::StrCat("gradctl: ", GroupedText(written.out_of_range),
                                 " parameters are out of the range of f16 and have its largest "
                                 "number; bf16 has the range of f32\n");
  }
  if (line.json) {
    console->out << nlohmann::ordered_json{{"name", RunName(line.run)},
                                           {"step", absl::StrCat(written.step)},
                                           {"output", line.file}}
                        .dump()
                 << "\n";
    return;
  }
  console->out << absl::StrCat(RunId(line.run), ": ", written.what, " of step ", written.step,
                               " written to ", line.file, "\n");
}

// Writes the parameters that the server sends for Pull.
class PulledFile {
 public:
  PulledFile(const v1::Run& run, v1::Encoding encoding, NewFile* file, Progress* progress)
      : run_(run), writer_(encoding, file), file_(*file), progress_(*progress) {}

  absl::Status Take(const v1::ParameterChunk& chunk, const Payload& data) {
    const absl::StatusOr<int64_t> elements = CheckChunk(
        chunk, data.size_bytes(), elements_, run_.parameter_count(), elements_ == 0 ? -1 : step_);
    GRADD_RETURN_IF_ERROR(elements.status());
    if (EncodingOf(chunk.encoding()) != v1::ENCODING_FLOAT32) {
      return absl::DataLossError(absl::StrCat("a chunk in ", v1::Encoding_Name(chunk.encoding()),
                                              ", expected in ENCODING_FLOAT32"));
    }
    if (elements_ == 0) {
      step_ = chunk.step();
      GRADD_RETURN_IF_ERROR(Begin());
    }
    for (const Payload::Slice& slice : data.slices()) {
      GRADD_RETURN_IF_ERROR(writer_.Write(
          absl::string_view(reinterpret_cast<const char*>(slice.data()), slice.size())));
    }
    elements_ += *elements;
    progress_.Show(elements_ * int64_t{sizeof(float)},
                   run_.parameter_count() * int64_t{sizeof(float)});
    return absl::OkStatus();
  }

  absl::Status Restart() {
    if (elements_ == 0) return absl::OkStatus();
    elements_ = 0;
    return file_.Restart();
  }

  absl::Status Complete() const { return CheckComplete(elements_, run_.parameter_count()); }
  int64_t step() const { return step_; }
  int64_t out_of_range() const { return writer_.out_of_range(); }

 private:
  absl::Status Begin() {
    std::vector<SafetensorsTensor> tensors;
    for (const v1::Tensor& tensor : run_.layout().tensors()) {
      tensors.push_back(
          {tensor.name(), writer_.type(), {tensor.shape().begin(), tensor.shape().end()}});
    }
    return writer_.WriteHeader(std::move(tensors),
                               {{"run", RunId(run_.name())}, {"step", absl::StrCat(step_)}});
  }

  const v1::Run& run_;
  ParameterWriter writer_;
  NewFile& file_;
  Progress& progress_;
  int64_t elements_ = 0;
  int64_t step_ = 0;
};

absl::StatusOr<Written> ExportByPull(const CommandLine& line, const v1::Run& run, NewFile* file,
                                     Progress* progress, Client* client) {
  v1::PullRequest request;
  request.set_run(RunName(line.run));
  const absl::Duration timeout =
      client->timeout() + TimeFor(run.parameter_count() * int64_t{sizeof(float)});
  PulledFile pulled(run, line.encoding, file, progress);
  GRADD_RETURN_IF_ERROR(PullInto(request, timeout, client, &pulled));
  return Written{pulled.step(), pulled.out_of_range(), "parameters"};
}

absl::StatusOr<Written> ExportCheckpoint(const CommandLine& line, const v1::Run& run, NewFile* file,
                                         Progress* progress, Client* client) {
  v1::ExportRunRequest request;
  request.set_name(RunName(line.run));
  if (line.export_step.has_value()) {
    request.set_step(*line.export_step);
    request.set_timeline(line.timeline);
  }
  Written written;
  written.what = line.parameters_only ? "parameters" : "a checkpoint";
  std::optional<CheckpointFilter> filter;
  int64_t total = -1;
  int64_t received = 0;
  const auto take = [&](const v1::ExportRunResponse& response) -> absl::Status {
    if (total < 0) {
      total = response.total_bytes();
      written.step = response.step();
      if (line.parameters_only) {
        filter.emplace("the checkpoint", total, line.encoding, file);
      }
    }
    received += static_cast<int64_t>(response.data().size());
    progress->Show(received, total);
    if (received > total) return absl::OkStatus();  // Told below.
    return filter.has_value() ? filter->Write(response.data()) : file->Write(response.data());
  };
  const absl::Duration timeout =
      client->timeout() + absl::Minutes(10) + TimeFor(run.parameter_count() * kCheckpointBytes);
  GRADD_RETURN_IF_ERROR(client->Export(request, timeout, take));
  if (received != total) {
    return absl::DataLossError(absl::StrCat("the server sent ", received,
                                            " bytes of a checkpoint, ", std::max<int64_t>(total, 0),
                                            " expected"));
  }
  if (filter.has_value()) written.out_of_range = filter->out_of_range();
  return written;
}

// The file where a link leads, as downloads have it.
absl::StatusOr<std::unique_ptr<ReadableFile>> OpenInput(const std::string& path) {
  std::error_code error;
  const std::string target = std::filesystem::canonical(path, error).string();
  if (error) return UsageError(absl::StrCat("cannot read ", path, ": ", error.message()));
  auto file = FileSystem::Real()->OpenToRead(target);
  if (!file.ok()) return UsageError(file.status().message());
  return file;
}

std::string NameForMessages(const std::string& path) {
  std::string name = std::filesystem::path(path).filename().string();
  if (name.size() > kMaxFileNameBytes || !IsPrintableUtf8(name)) name.clear();
  return name;
}

}  // namespace

absl::Status Export(const CommandLine& line, Client* client, Console* console) {
  // Before the download, which may be long.
  const absl::StatusOr<std::unique_ptr<NewFile>> file = NewFile::Create(line.file);
  GRADD_RETURN_IF_ERROR(file.status());
  const absl::StatusOr<v1::Run> run = client->Get(RunName(line.run));
  GRADD_RETURN_IF_ERROR(run.status());
  absl::StatusOr<Written> written;
  {
    Progress progress(RunId(line.run), line, console);
    written = line.parameters_only && !line.export_step.has_value()
                  ? ExportByPull(line, *run, file->get(), &progress, client)
                  : ExportCheckpoint(line, *run, file->get(), &progress, client);
  }
  GRADD_RETURN_IF_ERROR(written.status());
  GRADD_RETURN_IF_ERROR((*file)->Commit());
  Print(*written, line, console);
  return absl::OkStatus();
}

absl::StatusOr<v1::Run> CreateFromFile(const CommandLine& line, const v1::CreateRunRequest& request,
                                       Client* client, Console* console) {
  const auto file = OpenInput(line.from);
  GRADD_RETURN_IF_ERROR(file.status());
  const int64_t bytes = (*file)->size();
  if (bytes == 0) return UsageError(absl::StrCat(line.from, " is empty"));
  v1::ImportBegin begin;
  begin.set_run_id(request.run_id());
  if (request.has_run()) *begin.mutable_run() = request.run();
  begin.set_request_id(request.request_id());
  begin.set_total_bytes(bytes);
  begin.set_file(NameForMessages(line.from));
  begin.set_with_state(line.with_state);
  Progress progress(RunId(line.run), line, console);
  return client->Import(begin, **file, client->timeout() + TimeFor(bytes),
                        [&progress, bytes](int64_t sent) { progress.Show(sent, bytes); });
}

}  // namespace gradd::ctl

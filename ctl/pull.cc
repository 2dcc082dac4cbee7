#include "ctl/pull.h"

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/pull.h"
#include "core/base/error.h"
#include "core/base/new_file.h"
#include "core/codec/dense.h"
#include "ctl/parameter_file.h"
#include "ctl/repeated_pull.h"
#include "ctl/run_name.h"
#include "ctl/text.h"
#include "nlohmann/json.hpp"

namespace gradd::ctl {
namespace {

// Slower than this, a download has failed.
constexpr int64_t kLeastBytesPerSecond = 10'000'000;

// Takes the chunks of one step in order and writes them.
class Download {
 public:
  Download(const v1::Run& run, ParameterFormat format, NewFile* file)
      : run_(run), format_(format), file_(file) {}

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
    elements_ += *elements;
    for (const Payload::Slice& slice : data.slices()) {
      GRADD_RETURN_IF_ERROR(file_->Write(
          absl::string_view(reinterpret_cast<const char*>(slice.data()), slice.size())));
    }
    return absl::OkStatus();
  }

  absl::Status Restart() {
    if (elements_ == 0) return absl::OkStatus();
    elements_ = 0;
    return file_->Restart();
  }

  absl::Status Complete() const { return CheckComplete(elements_, run_.parameter_count()); }

  int64_t step() const { return step_; }

 private:
  absl::Status Begin() {
    if (format_ == ParameterFormat::kFloat32) return absl::OkStatus();
    absl::StatusOr<std::string> header = SafetensorsHeader(run_, step_);
    if (!header.ok()) return header.status();
    return file_->Write(*header);
  }

  const v1::Run& run_;
  const ParameterFormat format_;
  NewFile* const file_;
  int64_t elements_ = 0;
  int64_t step_ = 0;
};

}  // namespace

absl::Status Pull(const CommandLine& line, Client* client, Console* console) {
  const absl::StatusOr<ParameterFormat> format = FormatOf(line.output);
  if (!format.ok()) return format.status();
  // Before the download, which may be long.
  const absl::StatusOr<std::unique_ptr<NewFile>> file = NewFile::Create(line.output);
  if (!file.ok()) return file.status();
  const absl::StatusOr<v1::Run> run = client->Get(RunName(line.run));
  if (!run.ok()) return run.status();

  v1::PullRequest request;
  request.set_run(RunName(line.run));
  request.set_view(line.view);
  const int64_t bytes = run->parameter_count() * static_cast<int64_t>(sizeof(float));
  const absl::Duration timeout = client->timeout() + absl::Seconds(bytes / kLeastBytesPerSecond);
  Download download(*run, *format, file->get());
  GRADD_RETURN_IF_ERROR(PullInto(request, timeout, client, &download));
  GRADD_RETURN_IF_ERROR((*file)->Commit());

  if (line.json) {
    console->out << nlohmann::ordered_json{{"name", run->name()},
                                           {"step", absl::StrCat(download.step())},
                                           {"parameter_count",
                                            absl::StrCat(run->parameter_count())},
                                           {"output", line.output}}
                        .dump()
                 << "\n";
  } else {
    console->out << absl::StrCat(RunId(line.run), ": ", GroupedText(run->parameter_count()),
                                 " parameters of step ", download.step(), " written to ",
                                 line.output, "\n");
  }
  return absl::OkStatus();
}

}  // namespace gradd::ctl

#include "ctl/pull.h"

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/base/new_file.h"
#include "ctl/parameter_file.h"
#include "ctl/run_name.h"
#include "ctl/text.h"
#include "nlohmann/json.hpp"

namespace gradd::ctl {
namespace {

// Slower than this, a download has failed.
constexpr int64_t kLeastBytesPerSecond = 10'000'000;
// How often the server may take the parameters away before they are complete.
constexpr int kPullAttempts = 10;

// Takes the chunks of one step in order and writes them.
class Download {
 public:
  Download(const v1::Run& run, ParameterFormat format, NewFile* file)
      : run_(run), format_(format), file_(file) {}

  absl::Status Take(const v1::ParameterChunk& chunk) {
    GRADD_RETURN_IF_ERROR(Check(chunk));
    if (elements_ == 0) {
      step_ = chunk.step();
      GRADD_RETURN_IF_ERROR(Begin());
    }
    elements_ += ElementsOf(chunk);
    return file_->Write(chunk.data());
  }

  absl::Status Restart() {
    if (elements_ == 0) return absl::OkStatus();
    elements_ = 0;
    return file_->Restart();
  }

  absl::Status Complete() const {
    if (elements_ == run_.parameter_count()) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat("the download ended after ", elements_, " of ",
                                            run_.parameter_count(), " parameters"));
  }

  int64_t step() const { return step_; }

 private:
  static int64_t ElementsOf(const v1::ParameterChunk& chunk) {
    return static_cast<int64_t>(chunk.data().size() / sizeof(float));
  }

  absl::Status Begin() {
    if (format_ == ParameterFormat::kFloat32) return absl::OkStatus();
    absl::StatusOr<std::string> header = SafetensorsHeader(run_, step_);
    if (!header.ok()) return header.status();
    return file_->Write(*header);
  }

  absl::Status Check(const v1::ParameterChunk& chunk) const {
    const bool float32 =
        chunk.encoding() == v1::ENCODING_UNSPECIFIED || chunk.encoding() == v1::ENCODING_FLOAT32;
    if (!float32 || chunk.data().size() % sizeof(float) != 0 || chunk.data().empty()) {
      return absl::DataLossError(
          absl::StrCat("a chunk of ", chunk.data().size(), " bytes in encoding ",
                       v1::Encoding_Name(chunk.encoding()), " is not a whole number of float32"));
    }
    if (elements_ > 0 && chunk.step() != step_) {
      return absl::DataLossError(
          absl::StrCat("a chunk of step ", chunk.step(), " among those of step ", step_));
    }
    if (chunk.offset() != elements_ || ElementsOf(chunk) > run_.parameter_count() - elements_) {
      return absl::DataLossError(absl::StrCat("a chunk at offset ", chunk.offset(), " of ",
                                              ElementsOf(chunk), " elements where ", elements_,
                                              " of ", run_.parameter_count(), " have come"));
    }
    return absl::OkStatus();
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
  absl::Status pulled;
  for (int attempt = 0; attempt < kPullAttempts; ++attempt) {
    GRADD_RETURN_IF_ERROR(download.Restart());
    pulled = client->Pull(request, timeout, [&download](const v1::ParameterChunk& chunk) {
      return download.Take(chunk);
    });
    // A later step needed the memory of what this one was reading.
    if (pulled.code() != absl::StatusCode::kAborted) break;
  }
  GRADD_RETURN_IF_ERROR(pulled);
  GRADD_RETURN_IF_ERROR(download.Complete());
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

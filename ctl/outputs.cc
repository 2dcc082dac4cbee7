#include "ctl/outputs.h"

#include <utility>

#include "core/base/error.h"
#include "ctl/gnuplot.h"
#include "ctl/status.h"

namespace gradd::ctl {
namespace {

absl::StatusOr<std::unique_ptr<NewFile>> OpenIfAsked(const std::string& path) {
  if (path.empty()) return std::unique_ptr<NewFile>();
  return NewFile::Create(path);
}

absl::Status Complete(NewFile* file, absl::string_view contents) {
  GRADD_RETURN_IF_ERROR(file->Write(contents));
  return file->Commit();
}

}  // namespace

absl::StatusOr<Outputs> Outputs::Open(const std::string& svg, const std::string& csv) {
  if (!svg.empty()) GRADD_RETURN_IF_ERROR(CheckGnuplot());
  auto svg_file = OpenIfAsked(svg);
  GRADD_RETURN_IF_ERROR(svg_file.status());
  auto csv_file = OpenIfAsked(csv);
  GRADD_RETURN_IF_ERROR(csv_file.status());
  if (*svg_file != nullptr && *csv_file != nullptr &&
      (*svg_file)->target() == (*csv_file)->target()) {
    return UsageError("--svg and --csv are the same file");
  }
  return Outputs(*std::move(svg_file), *std::move(csv_file));
}

absl::Status Outputs::WriteSvg(const std::function<absl::StatusOr<std::string>()>& draw) {
  if (svg_ == nullptr) return absl::OkStatus();
  const absl::StatusOr<std::string> picture = draw();
  GRADD_RETURN_IF_ERROR(picture.status());
  return Complete(svg_.get(), *picture);
}

absl::Status Outputs::WriteCsv(const std::function<std::string()>& table) {
  return csv_ == nullptr ? absl::OkStatus() : Complete(csv_.get(), table());
}

}  // namespace gradd::ctl

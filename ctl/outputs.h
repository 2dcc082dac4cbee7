#ifndef GRADD_CTL_OUTPUTS_H_
#define GRADD_CTL_OUTPUTS_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/new_file.h"

namespace gradd::ctl {

// The files that a command was asked for, opened before its work begins, so that what cannot be
// written is known then.
class Outputs {
 public:
  // Empty paths are files that were not asked for. Fails where one cannot be written, or where
  // pictures cannot be drawn.
  static absl::StatusOr<Outputs> Open(const std::string& svg, const std::string& csv);

  // Write them, where they were asked for.
  absl::Status WriteSvg(const std::function<absl::StatusOr<std::string>()>& draw);
  absl::Status WriteCsv(const std::function<std::string()>& table);

 private:
  Outputs(std::unique_ptr<NewFile> svg, std::unique_ptr<NewFile> csv)
      : svg_(std::move(svg)), csv_(std::move(csv)) {}

  std::unique_ptr<NewFile> svg_;
  std::unique_ptr<NewFile> csv_;
};

}  // namespace gradd::ctl

#endif  // GRADD_CTL_OUTPUTS_H_

#ifndef GRADD_CTL_RUN_NAME_H_
#define GRADD_CTL_RUN_NAME_H_

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace gradd::ctl {

// `fashion` and `runs/fashion` name the same run. The id, without `runs/`.
inline std::string RunId(absl::string_view run) {
  return std::string(absl::StripPrefix(run, "runs/"));
}

// The resource name, with `runs/`.
inline std::string RunName(absl::string_view run) { return absl::StrCat("runs/", RunId(run)); }

}  // namespace gradd::ctl

#endif  // GRADD_CTL_RUN_NAME_H_

#include "core/run/run_signs.h"

#include "absl/strings/str_cat.h"
#include "core/base/error.h"

namespace gradd {

void RunSigns::NoteRejection(const std::string& worker, int64_t sequence, const absl::Status& why,
                             int64_t step, absl::Duration now) {
  if (ReasonOf(why) != "NON_FINITE") return;
  ++non_finite_pushes;
  non_finite_reason = absl::StrCat("push ", sequence, " from ", worker, " was refused at step ",
                                   step, ": ", why.message());
  non_finite_at = now;
}

}  // namespace gradd

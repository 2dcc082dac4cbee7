#include "core/run/timelines.h"

#include <random>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/base/utf8.h"

namespace gradd {

std::string MakeRunUid() {
  std::random_device device;
  std::string uid;
  for (int i = 0; i < 4; ++i) absl::StrAppend(&uid, absl::Hex(uint32_t{device()}, absl::kZeroPad8));
  return uid;
}

absl::Status CheckRunUid(const v1::PushHeader& header, const Timeline& present) {
  if (header.run_uid().empty() || header.run_uid() == present.run_uid) return absl::OkStatus();
  return InvalidArgument(
      "RUN_UID_DIFFERS",
      absl::StrCat("header.run_uid: ", Quoted(header.run_uid()), ", the run's is \"",
                   present.run_uid, "\": it is another run of that name"));
}

}  // namespace gradd

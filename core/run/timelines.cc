#include "core/run/timelines.h"

#include <random>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/base/utf8.h"

namespace gradd {
namespace {

// 128 random bits.
std::string MakeUid() {
  std::random_device device;
  std::string uid;
  for (int i = 0; i < 4; ++i) absl::StrAppend(&uid, absl::Hex(uint32_t{device()}, absl::kZeroPad8));
  return uid;
}

}  // namespace

Timelines::Timelines() : present_(std::make_shared<const Timeline>(Timeline{MakeUid(), 1})) {}

absl::Status Timelines::CheckRun(const v1::PushHeader& header) const {
  if (header.run_uid().empty() || header.run_uid() == present_->run_uid) return absl::OkStatus();
  return InvalidArgument(
      "RUN_UID_DIFFERS",
      absl::StrCat("header.run_uid: ", Quoted(header.run_uid()), ", the run's is \"",
                   present_->run_uid, "\": it is another run of that name"));
}

void Timelines::BeginNext() {
  present_ = std::make_shared<const Timeline>(Timeline{present_->run_uid, present_->number + 1});
}

}  // namespace gradd

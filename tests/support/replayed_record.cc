#include "tests/support/replayed_record.h"

#include "absl/strings/str_cat.h"

namespace gradd {

void ReplayedRecord::Append(const state::v1::Event& event, Pushes pushes) {
  state::v1::Event read;
  const bool parsed = read.ParseFromString(event.SerializeAsString());
  if (!parsed || read.number() != record_->events() + 1 || record_->deleted()) {
    fault_ = absl::StrCat("event ", read.number(), " comes after ", record_->events());
    return;
  }
  for (size_t i = 0; i < pushes.size(); ++i) {
    const state::v1::DecidedPush& named =
        read.has_fold() ? read.fold().push() : read.step().used(static_cast<int>(i));
    if (pushes[i]->header().sequence() == named.sequence()) continue;
    fault_ = absl::StrCat("event ", read.number(), " names push ", named.sequence(), " of ",
                          named.worker(), " and takes ", pushes[i]->header().sequence());
  }
  record_->Apply(read);
}

std::string ReplayedRecord::Compare(const state::v1::RunState& live, bool reads_back) {
  if (!fault_.empty()) return fault_;
  state::v1::RunState replayed;
  record_->Write(&replayed);
  const std::string written = live.SerializeAsString();
  if (replayed.SerializeAsString() != written) {
    return absl::StrCat("its events lead to ", replayed.ShortDebugString(), ", and it is at ",
                        live.ShortDebugString());
  }
  if (!reads_back) return "";
  state::v1::RunState state;
  state.ParseFromString(written);
  record_ = std::make_unique<RunRecord>();
  return std::string(record_->Read(state, absl::ZeroDuration()).message());
}

}  // namespace gradd

#include "core/members/worker_blobs.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"

namespace gradd {

void WorkerBlobs::Keep(const std::string& worker, uint64_t timeline, int64_t sequence,
                       std::string data) {
  if (data.empty()) return;
  Blob& blob = blobs_[worker];
  bytes_ += static_cast<int64_t>(data.size()) - static_cast<int64_t>(blob.data.size());
  blob = {timeline, sequence, std::move(data)};
}

void WorkerBlobs::Drop(const std::string& worker) {
  const auto found = blobs_.find(worker);
  if (found == blobs_.end()) return;
  bytes_ -= static_cast<int64_t>(found->second.data.size());
  blobs_.erase(found);
}

const WorkerBlobs::Blob* WorkerBlobs::Find(const std::string& worker) const {
  const auto found = blobs_.find(worker);
  return found == blobs_.end() ? nullptr : &found->second;
}

void WorkerBlobs::Write(state::v1::MembersState* state) const {
  for (const auto& [worker, blob] : blobs_) {
    state::v1::WorkerBlobState& written = *state->add_blobs();
    written.set_worker(worker);
    written.set_timeline(blob.timeline);
    written.set_sequence(blob.sequence);
    written.set_data(blob.data);
  }
}

absl::Status WorkerBlobs::Read(const state::v1::MembersState& state) {
  blobs_.clear();
  bytes_ = 0;
  for (const state::v1::WorkerBlobState& read : state.blobs()) {
    const auto size = static_cast<int64_t>(read.data().size());
    if (size == 0 || size > kMostBytes || read.sequence() < 1 || blobs_.count(read.worker()) != 0) {
      return InvalidArgument("STATE_INVALID",
                             absl::StrCat("blob of worker \"", read.worker(), "\": ", size,
                                          " bytes of push ", read.sequence(), ", one with 1 to ",
                                          kMostBytes, " bytes and a sequence from 1 on expected"));
    }
    Keep(read.worker(), read.timeline(), read.sequence(), read.data());
  }
  return absl::OkStatus();
}

}  // namespace gradd

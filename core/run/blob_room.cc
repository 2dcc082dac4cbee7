#include "core/run/blob_room.h"

#include "absl/strings/str_cat.h"
#include "core/base/error.h"

namespace gradd {

absl::Status BlobRoom::CheckAll(int64_t coming, int64_t replaced) const {
  if (record_.blobs().bytes() - replaced + coming <= kMostBytes) return absl::OkStatus();
  return Error(absl::StatusCode::kResourceExhausted, "BLOB_NO_ROOM",
               absl::StrCat("blob: ", coming, " bytes beside the ", record_.blobs().bytes(),
                            " that workers of this run have left; ", kMostBytes,
                            " expected at most in all, those of lost workers included: one that "
                            "leaves takes its own with it"));
}

absl::Status BlobRoom::Claim(int64_t coming) {
  if (claim_->Resize(record_.blobs().bytes() + coming)) return absl::OkStatus();
  return Error(
      absl::StatusCode::kResourceExhausted, "BLOB_NO_ROOM",
      absl::StrCat("blob: there is no room for ", coming, " bytes beside the ",
                   record_.blobs().bytes(), " that workers have left (--max-memory-bytes)"));
}

void BlobRoom::Welcome(const std::string& worker, v1::Welcome* welcome) const {
  welcome->mutable_limits()->set_max_blob_bytes(WorkerBlobs::kMostBytes);
  const WorkerBlobs::Blob* const blob = record_.blobs().Find(worker);
  if (blob == nullptr) return;
  welcome->mutable_blob()->set_timeline(blob->timeline);
  welcome->mutable_blob()->set_sequence(blob->sequence);
  welcome->mutable_blob()->set_data(blob->data);
}

}  // namespace gradd

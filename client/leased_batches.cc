#include "client/leased_batches.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/error.h"

namespace gradd {
namespace {

void AddAll(const google::protobuf::RepeatedPtrField<v1::BatchRange>& ranges, int64_t most,
            std::set<int64_t>* batches) {
  for (const v1::BatchRange& range : ranges) {
    // No server gives more than it has said, and memory is not for whoever does.
    for (int64_t i = 0; i < std::min(range.count(), most); ++i) batches->insert(range.first() + i);
  }
}

}  // namespace

google::protobuf::RepeatedPtrField<v1::BatchRange> BatchRangesOf(
    const std::vector<int64_t>& batches) {
  google::protobuf::RepeatedPtrField<v1::BatchRange> ranges;
  for (const int64_t batch : batches) {
    if (!ranges.empty() && ranges.rbegin()->first() + ranges.rbegin()->count() == batch) {
      ranges.rbegin()->set_count(ranges.rbegin()->count() + 1);
      continue;
    }
    v1::BatchRange& range = *ranges.Add();
    range.set_first(batch);
    range.set_count(1);
  }
  return ranges;
}

absl::StatusOr<std::vector<int64_t>> LeasedBatches::Take(int64_t count, absl::Duration patience) {
  if (count < 1) {
    return absl::InvalidArgumentError(absl::StrCat("count: ", count, ", at least 1 expected"));
  }
  const absl::Time give_up = absl::Now() + patience;
  {
    MutexLock lock(&mutex_);
    used_ = true;
    wanted_ = count;
    // There may be some again, if the run goes on.
    if (patience > absl::ZeroDuration()) ended_ = false;
  }
  wake_();
  MutexLock lock(&mutex_);
  while (true) {
    if (!failure_.ok()) return failure_;
    if (open_ && !has_data_) {
      return Error(absl::StatusCode::kFailedPrecondition, "NO_DATA_SET",
                   "the run has no data set (Run.data)");
    }
    if (!ready_.empty()) break;
    if (ended_) return std::vector<int64_t>();
    const absl::Duration left = give_up - absl::Now();
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError("no batch is free now");
    }
    changed_.WaitFor(&mutex_, std::min(left, absl::Seconds(60)));
  }
  std::vector<int64_t> batches;
  while (!ready_.empty() && static_cast<int64_t>(batches.size()) < count) {
    batches.push_back(*ready_.begin());
    taken_.insert(*ready_.begin());
    ready_.erase(ready_.begin());
  }
  return batches;
}

void LeasedBatches::Return(const std::vector<int64_t>& batches) {
  {
    MutexLock lock(&mutex_);
    for (const int64_t batch : batches) {
      if (taken_.erase(batch) == 1) returned_.insert(batch);
    }
  }
  wake_();
}

void LeasedBatches::EndLeases(uint64_t timeline) {
  timeline_ = timeline;
  ready_.clear();
  taken_.clear();
  returned_.clear();
}

void LeasedBatches::StreamOpened(const v1::Welcome& welcome) {
  MutexLock lock(&mutex_);
  open_ = true;
  has_data_ = welcome.has_data();
  most_ = welcome.limits().max_leased_batches();
  if (welcome.timeline() != timeline_) EndLeases(welcome.timeline());
  ready_.clear();
  AddAll(welcome.data().leased(), most_, &ready_);
  for (const int64_t batch : taken_) ready_.erase(batch);
  std::set<int64_t> returned;
  for (const int64_t batch : returned_) {
    if (ready_.erase(batch) == 1) returned.insert(batch);
  }
  returned_ = std::move(returned);
  asked_ = false;
  changed_.NotifyAll();
}

void LeasedBatches::StreamEnded() {
  MutexLock lock(&mutex_);
  open_ = false;
}

void LeasedBatches::OnLease(const v1::BatchLease& lease) {
  MutexLock lock(&mutex_);
  asked_ = false;
  ended_ = lease.ended();
  if (lease.timeline() == timeline_) AddAll(lease.ranges(), most_, &ready_);
  changed_.NotifyAll();
}

void LeasedBatches::OnTimeline(uint64_t timeline) {
  MutexLock lock(&mutex_);
  EndLeases(timeline);
  ended_ = false;
}

void LeasedBatches::Pushed(const std::vector<int64_t>& batches) {
  MutexLock lock(&mutex_);
  for (const int64_t batch : batches) {
    taken_.erase(batch);
    ready_.erase(batch);  // It went out again, and came here, before the push was a duplicate.
  }
}

void LeasedBatches::Refused(const std::vector<int64_t>& batches) {
  MutexLock lock(&mutex_);
  for (const int64_t batch : batches) {
    if (taken_.erase(batch) == 1) returned_.insert(batch);
  }
}

void LeasedBatches::RolledBack() {
  MutexLock lock(&mutex_);
  returned_.insert(taken_.begin(), taken_.end());
  taken_.clear();
}

void LeasedBatches::Fail(const absl::Status& why) {
  MutexLock lock(&mutex_);
  if (failure_.ok()) failure_ = why;
  changed_.NotifyAll();
}

std::vector<v1::TrainRequest> LeasedBatches::TakeRequests() {
  std::vector<v1::TrainRequest> requests;
  MutexLock lock(&mutex_);
  if (!open_ || !has_data_) return requests;
  if (!returned_.empty()) {
    *requests.emplace_back().mutable_return_batches()->mutable_ranges() =
        BatchRangesOf({returned_.begin(), returned_.end()});
    returned_.clear();
  }
  const auto ready = static_cast<int64_t>(ready_.size());
  // At most as many as it may have, however many are wanted.
  const int64_t ahead = std::min(ahead_, most_);
  const int64_t wanted = ahead + std::min(wanted_, most_ - ahead);
  const int64_t count =
      std::min(wanted - ready, most_ - ready - static_cast<int64_t>(taken_.size()));
  if (!used_ || asked_ || ended_ || count < 1) return requests;
  requests.emplace_back().mutable_lease_batches()->set_count(count);
  asked_ = true;
  return requests;
}

}  // namespace gradd

#include "tests/core/run/pairs/reference_data.h"

namespace gradd {
namespace {

bool IsLarge(int64_t batch) { return batch % 2 == 0; }

}  // namespace

v1::DataSet ReferenceData::Spec() {
  v1::DataSet spec;
  spec.set_examples(kLarge + kSmall);
  spec.set_batch_size(kLarge);
  spec.set_epochs(1000);
  spec.set_most_skips(1000);
  return spec;
}

int64_t ReferenceData::ExamplesIn(const std::vector<int64_t>& batches) {
  int64_t examples = 0;
  for (const int64_t batch : batches) examples += IsLarge(batch) ? kLarge : kSmall;
  return examples;
}

std::vector<int64_t> ReferenceData::Lease(size_t worker, int64_t count) {
  std::vector<int64_t> leased;
  for (const int64_t batch : free_) {
    const bool more = static_cast<int64_t>(leased.size()) < count;
    if (more && in_pushes_.count(batch) == 0) leased.push_back(batch);
  }
  for (const int64_t batch : leased) free_.erase(batch);
  while (static_cast<int64_t>(leased.size()) < count) leased.push_back(next_++);
  held_[worker].insert(leased.begin(), leased.end());
  return leased;
}

std::vector<int64_t> ReferenceData::Find(size_t worker, int64_t large, int64_t small) const {
  std::vector<int64_t> found;
  for (const int64_t batch : held_[worker]) {
    int64_t& wanted = IsLarge(batch) ? large : small;
    if (wanted == 0 || in_pushes_.count(batch) > 0) continue;
    found.push_back(batch);
    --wanted;
  }
  return large + small > 0 ? std::vector<int64_t>() : found;
}

void ReferenceData::Pushed(size_t worker, int64_t sequence, const std::vector<int64_t>& batches) {
  pushes_[worker][sequence] = batches;
  in_pushes_.insert(batches.begin(), batches.end());
}

void ReferenceData::Answered(size_t worker, int64_t sequence, v1::PushOutcome outcome) {
  const auto push = pushes_[worker].find(sequence);
  if (push == pushes_[worker].end()) return;
  const std::vector<int64_t> batches = push->second;
  pushes_[worker].erase(push);
  for (const int64_t batch : batches) in_pushes_.erase(batch);
  if (outcome == v1::PUSH_OUTCOME_REJECTED) return;  // It can push them again.
  if (outcome != v1::PUSH_OUTCOME_APPLIED && outcome != v1::PUSH_OUTCOME_ACCUMULATED) {
    return Return(worker, batches);
  }
  for (const int64_t batch : batches) {
    free_.erase(batch);
    held_[worker].erase(batch);
    used_.insert(batch);
  }
}

void ReferenceData::Repeated(size_t worker, const std::vector<int64_t>& batches) {
  Return(worker, batches);
}

void ReferenceData::Lose(size_t worker) {
  Return(worker, {held_[worker].begin(), held_[worker].end()});
}

std::vector<int64_t> ReferenceData::LeasedTo(size_t worker) const {
  std::vector<int64_t> leased;
  for (const int64_t batch : held_[worker]) {
    if (in_pushes_.count(batch) == 0) leased.push_back(batch);
  }
  return leased;
}

void ReferenceData::Return(size_t worker, const std::vector<int64_t>& batches) {
  for (const int64_t batch : batches) {
    if (held_[worker].erase(batch) > 0) free_.insert(batch);
  }
}

}  // namespace gradd

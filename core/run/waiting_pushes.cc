#include "core/run/waiting_pushes.h"

#include <algorithm>
#include <iterator>
#include <numeric>

namespace gradd {
namespace {

WaitingPush FactsOf(const PendingPush& push) {
  const v1::PushHeader& header = push.push->header();
  WaitingPush facts{push.worker,   header.sequence(), header.base_step(),      header.examples(),
                    header.loss(), push.in_window,    push.arrival.complete_at};
  facts.cannot_be_corrected = push.cannot_be_corrected;
  return facts;
}

}  // namespace

void WaitingPushes::Add(PendingPush push) {
  push.place = ++added_;
  facts_.push_back(FactsOf(push));
  pushes_.push_back(std::move(push));
}

void WaitingPushes::PutBack(std::vector<PendingPush> pushes) {
  pushes_.insert(pushes_.end(), std::make_move_iterator(pushes.begin()),
                 std::make_move_iterator(pushes.end()));
  std::sort(pushes_.begin(), pushes_.end(),
            [](const PendingPush& a, const PendingPush& b) { return a.place < b.place; });
  facts_.clear();
  for (const PendingPush& push : pushes_) facts_.push_back(FactsOf(push));
}

std::vector<PendingPush> WaitingPushes::Take(const std::vector<size_t>& indices) {
  std::vector<PendingPush> taken;
  taken.reserve(indices.size());
  std::vector<bool> goes(pushes_.size());
  for (const size_t index : indices) {
    taken.push_back(std::move(pushes_[index]));
    goes[index] = true;
  }
  size_t kept = 0;
  for (size_t i = 0; i < pushes_.size(); ++i) {
    if (goes[i]) continue;
    if (kept != i) {
      pushes_[kept] = std::move(pushes_[i]);
      facts_[kept] = std::move(facts_[i]);
    }
    ++kept;
  }
  pushes_.resize(kept);
  facts_.resize(kept);
  return taken;
}

std::vector<PendingPush> WaitingPushes::TakeAll() {
  facts_.clear();
  return std::exchange(pushes_, {});
}

std::vector<PendingPush> WaitingPushes::TakeOf(const std::string& worker) {
  const PendingPush* const found = Find(worker);
  if (found == nullptr) return {};
  return Take({static_cast<size_t>(found - pushes_.data())});
}

std::vector<PendingPush> WaitingPushes::TakeIf(
    const std::function<bool(const WaitingPush&)>& goes) {
  std::vector<size_t> taken;
  for (size_t i = 0; i < facts_.size(); ++i) {
    if (goes(facts_[i])) taken.push_back(i);
  }
  return Take(taken);
}

void WaitingPushes::StepMade(int64_t steps) {
  for (PendingPush& push : pushes_) {
    push.in_window = 0;
    if (push.claim != nullptr) push.claim->MoveTo(steps);
  }
  for (WaitingPush& facts : facts_) facts.in_window = 0;
}

PendingPush* WaitingPushes::Find(const std::string& worker) {
  const auto found = std::find_if(pushes_.begin(), pushes_.end(),
                                  [&](const PendingPush& push) { return push.worker == worker; });
  return found == pushes_.end() ? nullptr : &*found;
}

}  // namespace gradd

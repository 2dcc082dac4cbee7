#include "core/run/run_history.h"

#include <iterator>
#include <utility>

#include "core/base/utf8.h"

namespace gradd {
namespace {

constexpr size_t kMost = 1000;
constexpr size_t kMaxValueBytes = 400;  // So that a whole history fits a message.

}  // namespace

void RunHistory::Add(v1::Change change) {
  change.set_old_value(Abbreviated(change.old_value(), kMaxValueBytes));
  change.set_new_value(Abbreviated(change.new_value(), kMaxValueBytes));
  changes_.push_back(std::move(change));
  if (changes_.size() > kMost) changes_.pop_front();
}

void RunHistory::AppendTo(size_t most_bytes, v1::Run* run) const {
  constexpr size_t kFrameBytes = 4;
  size_t bytes = run->ByteSizeLong();
  auto first = changes_.end();
  while (first != changes_.begin()) {
    bytes += std::prev(first)->ByteSizeLong() + kFrameBytes;
    if (bytes > most_bytes) break;
    --first;
  }
  for (; first != changes_.end(); ++first) *run->add_history() = *first;
}

void RunHistory::Read(const Changes& changes) {
  changes_.clear();
  for (const v1::Change& change : changes) Add(change);
}

}  // namespace gradd

#include "tests/support/fake_file.h"

#include <algorithm>

namespace gradd {
namespace {

// The system writes pages, each of them when it likes. Smaller than real ones, so that small files
// have several.
constexpr size_t kPageBytes = 64;

}  // namespace

void FakeFile::Apply(const Change& change, std::string* data) {
  if (change.truncates) {
    data->resize(change.offset);
    return;
  }
  // Where something before it never came to the disk, there are zeros.
  if (data->size() < change.offset + change.data.size()) {
    data->resize(change.offset + change.data.size());
  }
  data->replace(change.offset, change.data.size(), change.data);
}

void FakeFile::Write(size_t offset, absl::string_view data) {
  pending_.push_back({offset, std::string(data), /*truncates=*/false});
  Apply(pending_.back(), &seen_);
}

void FakeFile::Truncate(size_t size) {
  pending_.push_back({size, "", /*truncates=*/true});
  Apply(pending_.back(), &seen_);
}

std::string FakeFile::WithAllPending() const {
  std::string all = durable_;
  for (const Change& change : pending_) Apply(change, &all);
  return all;
}

void FakeFile::Sync() {
  durable_ = WithAllPending();
  pending_.clear();
}

std::string FakeFile::AfterCrash(std::mt19937_64* random) const {
  const auto below = [random](size_t bound) { return (*random)() % bound; };
  const std::string all = WithAllPending();
  // Up to here, nothing was on its way.
  size_t untouched = durable_.size();
  for (const Change& change : pending_) untouched = std::min(untouched, change.offset);
  const size_t shorter = std::min(all.size(), durable_.size());
  const size_t longer = std::max(all.size(), durable_.size());
  std::string left = durable_;
  switch (below(4)) {
    case 0:
      return durable_;
    case 1:
      return all;
    case 2:  // A prefix of it, in any length.
      left = all.size() > durable_.size() ? all : durable_;
      left.resize(shorter + below(longer - shorter + 1));
      return left;
    default:
      break;
  }
  // Some size, and each page as it was, as it was to be, or full of something else.
  left.resize(below(2) == 0 ? all.size() : shorter + below(longer - shorter + 1));
  for (size_t begin = untouched; begin < left.size();) {
    const size_t end = std::min((begin / kPageBytes + 1) * kPageBytes, left.size());
    const std::string* const from = below(2) == 0 ? &all : &durable_;
    const size_t there = std::min(end, std::max(begin, from->size()));
    std::copy(from->begin() + static_cast<std::ptrdiff_t>(std::min(begin, from->size())),
              from->begin() + static_cast<std::ptrdiff_t>(std::min(there, from->size())),
              left.begin() + static_cast<std::ptrdiff_t>(begin));
    const bool garbage = below(4) == 0;
    for (size_t i = garbage ? begin : there; i < end; ++i) {
      left[i] = garbage ? static_cast<char>(below(256)) : '\0';
    }
    begin = end;
  }
  return left;
}

}  // namespace gradd

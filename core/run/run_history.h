#ifndef GRADD_CORE_RUN_RUN_HISTORY_H_
#define GRADD_CORE_RUN_RUN_HISTORY_H_

#include <cstddef>
#include <deque>

#include "gradd/v1/run.pb.h"

namespace gradd {

// The changes of a run, for people; the last 1,000. Not thread safe.
class RunHistory {
 public:
  // Long values are cut.
  void Add(v1::Change change);
  // Appends to run->history() the newest changes with which it has at most `most_bytes`.
  void AppendTo(size_t most_bytes, v1::Run* run) const;

  using Changes = google::protobuf::RepeatedPtrField<v1::Change>;
  void Write(Changes* changes) const { *changes = {changes_.begin(), changes_.end()}; }
  // Has these instead, the last 1,000 of them.
  void Read(const Changes& changes);

 private:
  std::deque<v1::Change> changes_;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RUN_HISTORY_H_

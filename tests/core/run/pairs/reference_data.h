#ifndef GRADD_TESTS_CORE_RUN_PAIRS_REFERENCE_DATA_H_
#define GRADD_TESTS_CORE_RUN_PAIRS_REFERENCE_DATA_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "gradd/v1/data.pb.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

inline constexpr size_t kPairWorkers = 2;

// The batches of a run's data set: who must have which, and what must become of them. Written from
// docs/data.md. Every other batch is large, the others are small.
class ReferenceData {
 public:
  static constexpr int64_t kLarge = 8209;
  static constexpr int64_t kSmall = 2053;
  // With more batches than the workers use.
  static v1::DataSet Spec();
  static int64_t ExamplesIn(const std::vector<int64_t>& batches);

  // What a worker that asks for so many gets.
  std::vector<int64_t> Lease(size_t worker, int64_t count);
  // So many large batches that the worker has and that are in none of its pushes, and small ones,
  // the lowest of each; empty: it has not so many.
  std::vector<int64_t> Find(size_t worker, int64_t large, int64_t small) const;
  // A push with them is complete.
  void Pushed(size_t worker, int64_t sequence, const std::vector<int64_t>& batches);
  // Nothing happens where there is no such push.
  void Answered(size_t worker, int64_t sequence, v1::PushOutcome outcome);
  // The worker has sent a push once more, and is told that it was answered.
  void Repeated(size_t worker, const std::vector<int64_t>& batches);
  // It left, or its lease ended. What is in a push that waits still counts.
  void Lose(size_t worker);

  // What a worker that joins is told that it has.
  std::vector<int64_t> LeasedTo(size_t worker) const;
  int64_t used() const { return static_cast<int64_t>(used_.size()); }
  int64_t leased() const { return static_cast<int64_t>(held_[0].size() + held_[1].size()); }
  int64_t returned() const { return static_cast<int64_t>(free_.size()); }

 private:
  // They are its no more, so far as they are.
  void Return(size_t worker, const std::vector<int64_t>& batches);

  int64_t next_ = 0;
  std::set<int64_t> free_;  // That were leased before.
  std::array<std::set<int64_t>, kPairWorkers> held_;
  std::set<int64_t> in_pushes_;  // Some of them may be free: nobody gets those.
  std::set<int64_t> used_;
  std::array<std::map<int64_t, std::vector<int64_t>>, kPairWorkers> pushes_;  // By sequence.
};

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_PAIRS_REFERENCE_DATA_H_

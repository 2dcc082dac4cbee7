#ifndef GRADD_CORE_DATA_BATCH_LEDGER_H_
#define GRADD_CORE_DATA_BATCH_LEDGER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/data/batch_ranges.h"
#include "core/data/data_set.h"
#include "gradd/state/v1/data.pb.h"
#include "gradd/v1/data.pb.h"

namespace gradd {

// Which batches of a run's data set are used up, and who has the others.
//
// A number is new until it is handed out. From then on it is unused until a push with it became
// part of a step or of the window, or until it was skipped too often; after that it is used up for
// good. What is unused is either free or leased to one worker. A worker that is lost has its
// numbers no more, but its push with them counts if it comes before that of whoever has got them
// since; that one has them still, and is told that its push came too late.
//
// Whoever asks gets the lowest numbers that are free, and new ones only where none is. So what is
// unused is never more than kMostLeasedInAll, and all ranges together are no more than that.
//
// A change costs by the ranges that it names, and looks at the former holdings, of which there are
// few. They stay when others use their numbers: whoever comes with one then is too late, and not
// wrong.
//
// Everything here is a pure function of the calls so far: no clock, no order of addresses. A
// worker that is named need not be a member. Not thread safe.
class BatchLedger {
 public:
  using Ranges = BatchRanges::Proto;

  // Numbers that one worker may have, and that all may have together.
  static constexpr int64_t kMostLeased = 4096;
  static constexpr int64_t kMostLeasedInAll = int64_t{64} << 10;
  // Ranges of former holdings, and batches whose skips are counted. Beyond these the oldest holding
  // is forgotten, and a batch that is skipped counts as if it was skipped for the first time.
  static constexpr size_t kMostFormerSpans = 1024;
  static constexpr size_t kMostSkipCounts = 4096;
  static constexpr size_t kMostNamed = 100;

  explicit BatchLedger(const v1::DataSet& spec) : data_set_(spec) {}

  const DataSet& data_set() const { return data_set_; }

  // ---- What a lease would be of. ----

  // Up to `count` numbers for the worker, in their order; none of `reserved`, which are free and in
  // a push that waits.
  Ranges Choose(const std::string& worker, int64_t count, const BatchRanges& reserved) const;
  // Whether Choose() gives nothing, whatever worker asks that has nothing.
  bool NoneFree(const BatchRanges& reserved) const;

  // ---- What a push may name. ----

  // INVALID_ARGUMENT names the number of `field` that is out of range or there twice, or says that
  // there are too many.
  absl::Status CheckRanges(absl::string_view field, const Ranges& ranges) const;
  // Whether all of valid ranges are unused; INVALID_ARGUMENT if the worker neither has nor had one
  // of them.
  absl::StatusOr<bool> AllUnused(const std::string& worker, const Ranges& ranges) const;
  // Examples in valid ranges.
  int64_t ExamplesIn(const Ranges& ranges) const;

  // ---- Changes. Ranges are valid. ----

  // They were chosen for the worker.
  void Grant(const std::string& worker, const Ranges& ranges);
  // The worker has them no more, and those that are unused are free.
  void Return(const std::string& worker, const Ranges& ranges);
  // A push of the worker with them became part of a step or of the window.
  void Use(const std::string& worker, const Ranges& ranges);
  // It was skipped, since it is not finite. Only whoever has a number has its skips counted.
  void Skip(const std::string& worker, const Ranges& ranges);
  // The worker has them no more, and its push with them counts if it comes before those of others.
  void Lose(const std::string& worker, const Ranges& ranges);
  // The same for all that it has: it is lost, or has left.
  void Lose(const std::string& worker);
  // All leases end, and so do the claims of those that were lost.
  void EndAll();

  // ---- How it stands. ----

  // Nothing is left to be used.
  bool used_up() const { return next_ == data_set_.batches() && unused_.empty(); }
  // What the worker has of these numbers, used up by others or not.
  BatchRanges HeldOf(const std::string& worker, const BatchRanges& numbers) const;
  // What the worker has of what is unused.
  BatchRanges LeasedTo(const std::string& worker) const;
  bool HasAny(const std::string& worker) const;
  void Fill(v1::DataProgress* progress) const;
  // Without what the worker has.
  void Fill(v1::WelcomeData* welcome) const;
  // Batches that were used up by being skipped, in all, and the last ones of them, the newest
  // first.
  int64_t skipped() const { return skipped_; }
  const std::deque<int64_t>& last_skipped() const { return last_skipped_; }

  void Write(state::v1::BatchLedgerState* state) const;
  // Becomes what Write() has given, of the same data set. INVALID_ARGUMENT names what no ledger
  // has; this one is of no use then.
  absl::Status Read(const state::v1::BatchLedgerState& state);

  // Whether what is unused is free or leased to one worker, each number once. For checks; takes
  // long.
  bool IsSound() const;

 private:
  struct Former {
    std::string worker;
    BatchRanges ranges;
  };

  // The first number of `ranges` that the worker neither has nor had when it was lost.
  std::optional<int64_t> FirstUnclaimed(const std::string& worker, const Ranges& ranges) const;
  // The worker has and had them no more.
  void Drop(const std::string& worker, const Ranges& ranges);
  void AddFormer(const std::string& worker, BatchRanges ranges);
  void ForgetFormer(const std::string& worker, const Ranges& ranges);
  void LimitFormer();
  void UseUp(BatchSpan span);
  // The epoch of the lowest number that is not used up, and how many of its examples are not.
  void FillEpoch(int64_t* epoch, int64_t* examples_left) const;

  DataSet data_set_;
  int64_t next_ = 0;
  BatchRanges unused_;
  BatchRanges free_;                         // Of unused_.
  std::map<std::string, BatchRanges> held_;  // No empty one. Some of it may be used up.
  std::deque<Former> former_;                // The oldest first.
  size_t former_spans_ = 0;
  absl::btree_map<int64_t, int64_t> skips_;  // Of unused_.
  int64_t skipped_ = 0;
  std::deque<int64_t> last_skipped_;
};

}  // namespace gradd

#endif  // GRADD_CORE_DATA_BATCH_LEDGER_H_

#ifndef GRADD_TESTS_CORE_RUN_SCHEDULES_DATA_MODEL_H_
#define GRADD_TESTS_CORE_RUN_SCHEDULES_DATA_MODEL_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gradd/state/v1/event.pb.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// Who has which batches of a run's data set and which are used up, written a second time, number by
// number. It is told every event, and names the first one that cannot be right: a batch that is
// used twice, or by somebody who has never had it, or that goes out while another worker has it.
class DataModel {
 public:
  using Ranges = google::protobuf::RepeatedPtrField<v1::BatchRange>;

  explicit DataModel(const v1::DataSet& spec);

  void Append(const state::v1::Event& event);
  // Empty as long as nothing is wrong.
  const std::string& fault() const { return fault_; }

  int64_t batches() const { return static_cast<int64_t>(batches_.size()); }
  int64_t ExamplesOf(int64_t batch) const;
  // Whether the worker may push all of them: it has them, or had them and was lost.
  bool MayPush(const std::string& worker, const Ranges& ranges) const;
  bool all_used() const { return used_ == batches(); }
  // Whether some batch is free, whatever waits.
  bool AnySurelyFree() const;
  // Whether no batch is free, and the worker has none.
  bool SurelyIdle(const std::string& worker) const;
  // Whether a step may have been made without the worker, since it could get no batch.
  bool MayHaveBeenIdle(int64_t step, const std::string& worker) const;
  int64_t HeldBy(const std::string& worker) const;
  // The first batch that the worker has and that is not among these, which it knows of; -1 if there
  // is none. It would never be pushed.
  int64_t FirstUnknown(const std::string& worker, const std::set<int64_t>& known) const;

 private:
  struct Batch {
    bool used = false;
    int64_t skips = 0;
    std::string holder;            // Empty: nobody.
    std::set<std::string> claims;  // Who may push it, the holder included.
  };

  template <typename... Parts>
  void Fail(const Parts&... parts) {
    if (fault_.empty()) fault_ = absl::StrCat("event ", number_, ": ", parts...);
  }
  // The batches of ranges that are valid, and none twice; otherwise that is a fault.
  std::vector<int64_t> NumbersIn(const Ranges& ranges);
  void Grant(const state::v1::DataLease& lease);
  void Use(const state::v1::DecidedPush& push);
  void Answer(const state::v1::AnsweredPush& answer);
  void LetGo(const std::string& worker, Batch* batch);
  // Nobody has it, and no push that waits can have it.
  static bool IsSurelyFree(const Batch& batch) { return !batch.used && batch.claims.empty(); }

  const v1::DataSet spec_;
  const int64_t per_epoch_;
  std::vector<Batch> batches_;
  int64_t used_ = 0;
  int64_t number_ = 0;
  std::set<std::string> workers_;
  std::map<int64_t, std::set<std::string>> idle_;  // By step.
  std::string fault_;
};

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_SCHEDULES_DATA_MODEL_H_

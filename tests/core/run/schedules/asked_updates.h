#ifndef GRADD_TESTS_CORE_RUN_SCHEDULES_ASKED_UPDATES_H_
#define GRADD_TESTS_CORE_RUN_SCHEDULES_ASKED_UPDATES_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "core/run/run.h"
#include "google/protobuf/field_mask.pb.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// The changes that people asked one run for, and what must come of them: each is answered once, in
// the order in which they were asked for, and is made to what the ones before it have left.
class AskedUpdates {
 public:
  // `spec`: what the run was created with.
  explicit AskedUpdates(v1::Run spec) : spec_(std::move(spec)) {}

  // Asks for the fields of `mask` in `values`. It may be answered at once, or some time later.
  void Ask(Run* run, const v1::Run& values, const google::protobuf::FieldMask& mask);
  // To be called after every action. What is wrong; empty if nothing is.
  std::string Check();
  // Some are not answered.
  bool waits() const { return !asked_.empty(); }

 private:
  struct Update {
    v1::Run values;
    google::protobuf::FieldMask mask;
    int answers = 0;
    absl::Status status;
    v1::Run run;  // As it was answered.
  };

  std::string CheckAnswer(const Update& update);

  v1::Run spec_;
  std::deque<std::shared_ptr<Update>> asked_;
};

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_SCHEDULES_ASKED_UPDATES_H_

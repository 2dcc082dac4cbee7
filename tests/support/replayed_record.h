#ifndef GRADD_TESTS_SUPPORT_REPLAYED_RECORD_H_
#define GRADD_TESTS_SUPPORT_REPLAYED_RECORD_H_

#include <memory>
#include <string>

#include "core/run/event_log.h"
#include "core/run/run_record.h"
#include "gradd/state/v1/event.pb.h"

namespace gradd {

// A run's record, made once more from the events in its log, as they are written down. Not thread
// safe.
class ReplayedRecord final : public EventLog {
 public:
  void Append(const state::v1::Event& event, Pushes pushes) override;

  // How it differs from the run's own record; empty: it does not. With `reads_back`, goes on from
  // that as it is written down instead.
  std::string Compare(const state::v1::RunState& live, bool reads_back);
  // The last event is that the run was deleted.
  bool deleted() const { return record_->deleted(); }

 private:
  std::unique_ptr<RunRecord> record_ = std::make_unique<RunRecord>();
  std::string fault_;
};

}  // namespace gradd

#endif  // GRADD_TESTS_SUPPORT_REPLAYED_RECORD_H_

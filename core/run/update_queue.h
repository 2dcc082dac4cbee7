#ifndef GRADD_CORE_RUN_UPDATE_QUEUE_H_
#define GRADD_CORE_RUN_UPDATE_QUEUE_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "core/step/step_policy.h"
#include "google/protobuf/field_mask.pb.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// Gets the run as it is at the moment at which a change comes into effect, or why it was refused.
using UpdateReceiver = std::function<void(const absl::StatusOr<v1::Run>&)>;

struct RestoreRequest;

// A change of a run, as somebody asked for it.
struct UpdateRequest {
  v1::Run values;
  google::protobuf::FieldMask mask;
  std::string author;
  UpdateReceiver receive;
  // Not null: instead of `values`, the run is to go back; see RunRestore.
  std::shared_ptr<RestoreRequest> restore = nullptr;
};

// The changes of one run that are not answered yet. One of them is worked on; it is over when it is
// in effect or refused. The others wait in the order in which they came, so that each is validated
// against what the one before has left.
//
// Whoever gets a request from Begin() or Next() works on it, and calls Next() when it is over. At
// most kMostWaiting wait: each is as large as whoever asked for it made it.
//
// Not thread safe.
class UpdateQueue {
 public:
  // A change that was found valid and whose memory is claimed. It comes into effect as soon as no
  // step and no other plan is on its way.
  struct Accepted {
    UpdateRequest request;
    v1::Run updated;                           // The run's spec with it.
    std::shared_ptr<const StepPolicy> policy;  // Of that one.
    bool begins_anew = false;                  // Its schedule counts from when it is in effect.
  };

  static constexpr size_t kMostWaiting = 64;

  enum class Turn {
    kNow,    // No other is worked on, so the caller works on the request.
    kLater,  // It waits, and has been moved from.
    kNever,  // Too many wait.
  };
  [[nodiscard]] Turn Begin(UpdateRequest* request) {
    if (!working_) {
      working_ = true;
      return Turn::kNow;
    }
    if (waiting_.size() == kMostWaiting) return Turn::kNever;
    waiting_.push_back(std::move(*request));
    return Turn::kLater;
  }
  // The one that was worked on is over. The next one, for the caller to work on, if there is any.
  std::optional<UpdateRequest> Next() {
    working_ = !waiting_.empty();
    if (!working_) return std::nullopt;
    UpdateRequest next = std::move(waiting_.front());
    waiting_.pop_front();
    return next;
  }

  // The one that is worked on is accepted.
  void Accept(Accepted accepted) { accepted_ = std::move(accepted); }
  // Null: none was accepted since the last time.
  const Accepted* accepted() const { return accepted_.has_value() ? &*accepted_ : nullptr; }
  // It is in effect; nothing if none was accepted since the last time.
  std::optional<Accepted> TakeAccepted() { return std::exchange(accepted_, std::nullopt); }

 private:
  bool working_ = false;
  std::optional<Accepted> accepted_;
  std::deque<UpdateRequest> waiting_;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_UPDATE_QUEUE_H_

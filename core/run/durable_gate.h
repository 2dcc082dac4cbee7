#ifndef GRADD_CORE_RUN_DURABLE_GATE_H_
#define GRADD_CORE_RUN_DURABLE_GATE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "core/run/event_log.h"

namespace gradd {

// What a run has to say and may not say yet, since the events that it comes of are not durable. All
// of it leaves in the order in which it came. Not thread safe.
class DurableGate {
 public:
  // Gets OK, or why the events can never be told of.
  using Receiver = std::function<void(const absl::Status&)>;

  explicit DurableGate(std::shared_ptr<const EventLog> log) : log_(std::move(log)) {}

  // Whether what comes of the events up to number `event` may be said at once.
  bool IsOpen(int64_t event) const { return said_.empty() && log_->durable() >= event; }

  // Calls `say` within this call, or within Serve(): with true when it may be said, with false
  // when it never may.
  void Say(int64_t event, std::function<void(bool)> say) {
    if (IsOpen(event)) return say(true);
    // Serve() has been here for the last time.
    if (said_.empty() && !log_->failure().ok()) return say(false);
    said_.push_back({event, std::move(say)});
  }
  // Why what does not get out never will.
  absl::Status failure() const { return log_->failure(); }
  // The same for what may take long: it is given back by Serve(), then or after a failure. Not to
  // be used where IsOpen().
  void Answer(int64_t event, Receiver receive) { answers_.push_back({event, std::move(receive)}); }

  // Gets whether the events are durable: if not, the disk has no room, or has failed.
  using Look = std::function<void(bool is_durable)>;
  bool IsStuck() const { return log_->waits_for_room() || !log_->failure().ok(); }
  // The same for who only looks, and has to see also what is wrong: a disk that takes nothing is
  // not waited for. Not to be used where IsOpen() or IsStuck().
  void LookAt(int64_t event, Look look) { looks_.push_back({event, std::move(look)}); }

  // To be called when the log has moved. The result is to be called without the lock.
  [[nodiscard]] std::vector<std::function<void()>> Serve() {
    const int64_t durable = log_->durable();
    const absl::Status failure = log_->failure();
    for (; !said_.empty() && said_.front().event <= durable; said_.pop_front()) {
      said_.front().say(true);
    }
    if (!failure.ok()) {
      for (const Said& said : std::exchange(said_, {})) said.say(false);
    }
    std::vector<std::function<void()>> due;
    while (!answers_.empty() && (answers_.front().event <= durable || !failure.ok())) {
      const bool is_durable = answers_.front().event <= durable;
      due.push_back([receive = std::move(answers_.front().receive),
                     status = is_durable ? absl::OkStatus() : failure] { receive(status); });
      answers_.pop_front();
    }
    const bool is_stuck = IsStuck();
    while (!looks_.empty() && (looks_.front().event <= durable || is_stuck)) {
      due.push_back([look = std::move(looks_.front().look),
                     is_durable = looks_.front().event <= durable] { look(is_durable); });
      looks_.pop_front();
    }
    return due;
  }

 private:
  struct Said {
    int64_t event;
    std::function<void(bool)> say;
  };
  struct Awaited {
    int64_t event;
    Receiver receive;
  };

  struct Looking {
    int64_t event;
    Look look;
  };

  const std::shared_ptr<const EventLog> log_;
  std::deque<Said> said_;        // Events never go down.
  std::deque<Awaited> answers_;  // The same.
  std::deque<Looking> looks_;    // The same.
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_DURABLE_GATE_H_

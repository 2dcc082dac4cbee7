#ifndef GRADD_CORE_RUN_GATED_SINK_H_
#define GRADD_CORE_RUN_GATED_SINK_H_

#include <memory>
#include <utility>

#include "core/run/durable_gate.h"
#include "core/run/run_record.h"
#include "core/run/session_sink.h"

namespace gradd {

// The way back to one worker of a run, on which nothing is said of events that are not durable yet:
// what is sent waits for all events so far, and leaves in its order. But parameters may go before
// the results of the pushes that are in them, where the worker has asked for that: one that has
// them and dies changes nothing.
//
// Used with the run's lock held.
class GatedSink final : public SessionSink, public std::enable_shared_from_this<GatedSink> {
 public:
  // `sink` lives until Cut() or End(); the others outlive this.
  GatedSink(SessionSink* sink, DurableGate* gate, const RunRecord* record,
            bool parameters_before_result)
      : sink_(sink),
        gate_(*gate),
        record_(*record),
        parameters_before_result_(parameters_before_result) {}

  // Whether something waits.
  bool waits() const { return waiting_ > 0; }
  // The stream has ended by itself: nothing is sent any more.
  void Cut() { sink_ = nullptr; }

  bool same_host() const override { return sink_ != nullptr && sink_->same_host(); }
  void Send(v1::TrainResponse message) override {
    if (IsOpen() || (message.has_shared_parameters() && MayOvertake())) {
      if (message.has_shared_parameters()) NoteOvertaken();
      if (sink_ != nullptr) sink_->Send(std::move(message));
      return;
    }
    // (A function has to be copied, where it is made.)
    auto kept = std::make_shared<v1::TrainResponse>(std::move(message));
    if (kept->has_push_result()) last_result_ = kept;
    Wait(kept->has_push_result(), [kept](SessionSink* sink) {
      sink->Send(std::move(*kept));
      sink->Flush();
    });
  }
  void Flush() override {
    if (IsOpen() && sink_ != nullptr) sink_->Flush();
  }
  void SendParameters(std::shared_ptr<const Snapshot> snapshot, v1::Encoding encoding) override {
    if (IsOpen() || MayOvertake()) {
      NoteOvertaken();
      if (sink_ != nullptr) sink_->SendParameters(std::move(snapshot), encoding);
      return;
    }
    Wait(/*is_result=*/false, [snapshot = std::move(snapshot), encoding](SessionSink* sink) {
      sink->SendParameters(snapshot, encoding);
    });
  }
  void ResumeReading() override {
    if (sink_ != nullptr) sink_->ResumeReading();
  }
  void End(absl::Status status) override {
    if (IsOpen()) {
      if (SessionSink* const sink = std::exchange(sink_, nullptr); sink != nullptr) {
        sink->End(std::move(status));
      }
      return;
    }
    Wait(/*is_result=*/false, [this, status = std::move(status)](SessionSink* sink) {
      sink_ = nullptr;
      sink->End(status);
    });
  }
  void Abandon(absl::Status status) override {
    SessionSink* const sink = std::exchange(sink_, nullptr);
    if (sink != nullptr) sink->Abandon(std::move(status));
  }

 private:
  bool IsOpen() const { return waiting_ == 0 && gate_.IsOpen(record_.events()); }
  bool MayOvertake() const { return parameters_before_result_ && waiting_ == waiting_results_; }
  // Parameters leave now: before the result that waits, if one does, and was to say that they
  // follow it.
  void NoteOvertaken() {
    const auto result = last_result_.lock();
    if (result != nullptr) result->mutable_push_result()->set_parameters_follow(false);
  }
  template <typename Action>
  void Wait(bool is_result, Action action) {
    ++waiting_;
    if (is_result) ++waiting_results_;
    gate_.Say(record_.events(),
              [self = shared_from_this(), is_result, action = std::move(action)](bool may) {
                --self->waiting_;
                if (is_result) --self->waiting_results_;
                if (!may) return self->Abandon(self->gate_.failure());
                if (self->sink_ != nullptr) action(self->sink_);
              });
  }

  SessionSink* sink_;  // Null once the stream has ended.
  DurableGate& gate_;
  const RunRecord& record_;
  const bool parameters_before_result_;
  int waiting_ = 0;
  int waiting_results_ = 0;                       // Of these.
  std::weak_ptr<v1::TrainResponse> last_result_;  // Of these, the last one.
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_GATED_SINK_H_

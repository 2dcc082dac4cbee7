#ifndef GRADD_WORKER_CLIENT_SESSION_H_
#define GRADD_WORKER_CLIENT_SESSION_H_

#include <future>
#include <memory>
#include <utility>
#include <vector>

#include "client/session.h"
#include "worker/training_session.h"

namespace gradd {

// A session with a server, as the training loop takes it.
class ClientSession : public TrainingSession {
 public:
  explicit ClientSession(std::unique_ptr<Session> session) : session_(std::move(session)) {}

  std::future<absl::StatusOr<PushReport>> Push(const Session::PushInfo& info,
                                               absl::Span<const float> gradient,
                                               absl::Span<float> parameters) override {
    if (!session_->gradient().empty()) return session_->Push(info);
    return session_->Push(info, gradient, parameters);
  }
  absl::StatusOr<int64_t> Pull(absl::Span<float> parameters) override {
    return parameters.empty() ? session_->Pull() : session_->Pull(parameters);
  }
  absl::Span<float> gradient() const override { return session_->gradient(); }
  absl::Span<const float> parameters() const override { return session_->parameters(); }
  const v1::DataSet* data_set() const override {
    return session_->data().has_value() ? &session_->data()->data_set() : nullptr;
  }
  absl::StatusOr<std::vector<int64_t>> NextBatches(int64_t count,
                                                   absl::Duration patience) override {
    return session_->NextBatches(count, patience);
  }
  absl::Status Leave() override { return session_->Leave(); }
  int64_t next_sequence() const override { return session_->next_sequence(); }
  bool finished() const override { return session_->finished(); }
  uint64_t timeline() const override { return session_->timeline(); }

 private:
  std::unique_ptr<Session> session_;
};

}  // namespace gradd

#endif  // GRADD_WORKER_CLIENT_SESSION_H_

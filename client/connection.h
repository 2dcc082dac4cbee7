#ifndef GRADD_CLIENT_CONNECTION_H_
#define GRADD_CLIENT_CONNECTION_H_

#include <cstdint>
#include <future>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/push_loan.h"
#include "client/receive_buffer_pin.h"
#include "client/session.h"
#include "client/session_exchange.h"
#include "client/session_thread.h"

namespace gradd {

// What a Session does on its user's threads: orders pushes and waits. What is done about them, the
// SessionThread does; a Pull() is a call of its own.
class Connection {
 public:
  explicit Connection(SessionOptions options);

  // Waits for the first welcome. Then the observers below are valid.
  absl::Status WaitUntilOpen() { return exchange().WaitUntilOpen(); }

  // See Session.
  std::future<absl::StatusOr<PushReport>> Push(const Session::PushInfo& info,
                                               absl::Span<const float> gradient,
                                               absl::Span<float> parameters);
  std::future<absl::StatusOr<PushReport>> Push(const Session::PushInfo& info);
  absl::StatusOr<int64_t> Pull(absl::Span<float> parameters, v1::ParameterView view);
  absl::StatusOr<int64_t> Pull();
  void AbortPush() { exchange().AbortPush(); }
  absl::Status Leave() { return exchange().Leave(); }
  LeasedBatches& batches() { return thread_.batches(); }
  const std::optional<v1::WelcomeData>& data() const { return thread_.facts().data; }
  const std::optional<v1::WorkerBlob>& blob() const { return thread_.facts().blob; }

  absl::Span<float> gradient() const;
  absl::Span<const float> parameters() const;
  bool shares_memory() const { return thread_.shares_memory(); }
  const v1::Layout& layout() const { return thread_.facts().layout; }
  int64_t parameter_count() const { return thread_.facts().parameter_count; }
  int64_t max_steps() const { return thread_.facts().max_steps; }
  int64_t next_sequence() const { return thread_.exchange().next_sequence(); }
  uint64_t timeline() const { return thread_.timeline(); }
  bool finished() const { return thread_.exchange().finished(); }
  int64_t reconnects() const { return thread_.exchange().reconnects(); }
  int64_t saturated_elements() const { return thread_.saturated_elements(); }

 private:
  std::future<absl::StatusOr<PushReport>> Order(PushOrder order);
  SessionExchange& exchange() { return thread_.exchange(); }

  ReceiveBufferPin receive_buffers_;
  SessionThread thread_;
};

}  // namespace gradd

#endif  // GRADD_CLIENT_CONNECTION_H_

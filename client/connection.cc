#include "client/connection.h"

#include <functional>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/pull.h"
#include "client/retry.h"
#include "core/base/clock.h"
#include "core/base/error.h"

namespace gradd {
namespace {

bool Overlap(absl::Span<const float> a, absl::Span<const float> b) {
  const std::less<const float*> before;  // Also of pointers into different vectors.
  return before(a.begin(), b.end()) && before(b.begin(), a.end());
}

}  // namespace

Connection::Connection(SessionOptions options) : thread_(std::move(options), &receive_buffers_) {}

std::future<absl::StatusOr<PushReport>> Connection::Push(const Session::PushInfo& info,
                                                         absl::Span<const float> gradient,
                                                         absl::Span<float> parameters) {
  PushOrder order;
  order.info = info;
  order.gradient = gradient;
  order.parameters = parameters;
  return Order(std::move(order));
}

std::future<absl::StatusOr<PushReport>> Connection::Push(const Session::PushInfo& info) {
  PushOrder order;
  order.info = info;
  order.gradient = gradient();
  order.own_vectors = true;
  return Order(std::move(order));
}

absl::Span<float> Connection::gradient() const {
  return thread_.facts().vectors == nullptr ? absl::Span<float>()
                                            : thread_.facts().vectors->gradient();
}

absl::Span<const float> Connection::parameters() const {
  return thread_.facts().vectors == nullptr ? absl::Span<const float>()
                                            : thread_.facts().vectors->parameters();
}

std::future<absl::StatusOr<PushReport>> Connection::Order(PushOrder order) {
  order.loan = std::make_shared<PushLoan>();
  order.loan->vectors = thread_.facts().vectors;
  std::future<absl::StatusOr<PushReport>> future = order.loan->promise.get_future();
  if (order.info.timeline == 0) order.info.timeline = timeline();
  const auto count = static_cast<size_t>(parameter_count());
  if (order.gradient.size() != count ||
      (!order.parameters.empty() && order.parameters.size() != count)) {
    order.loan->result = absl::InvalidArgumentError(
        absl::StrCat("a push of ", order.gradient.size(), " elements into ",
                     order.parameters.size(), ", the run has ", parameter_count()));
    return future;
  }
  if (Overlap(order.gradient, order.parameters)) {
    order.loan->result = absl::InvalidArgumentError(
        "the gradient and the parameters overlap: where the connection breaks after some of the "
        "parameters have come, the gradient is sent again");
    return future;
  }
  thread_.Push(std::move(order));
  return future;
}

absl::StatusOr<int64_t> Connection::Pull(absl::Span<float> parameters, v1::ParameterView view) {
  const SessionOptions& options = thread_.options();
  const Clock& clock = *Clock::Real();
  Retry retry(options, std::random_device{}(), clock.Elapsed());
  while (true) {
    const absl::StatusOr<Pulled> pulled =
        PullOnce(options.server, thread_.run(), view, parameters, &receive_buffers_);
    if (pulled.ok()) {
      // Others are for looking at.
      if (view == v1::PARAMETER_VIEW_TRAINING) thread_.NoteTimeline(pulled->timeline);
      return pulled->step;
    }
    const absl::Duration now = clock.Elapsed();
    const Retry::Verdict verdict = retry.Ended(pulled.status(), now);
    if (!verdict.failure.ok()) return pulled.status();
    if (options.log) {
      options.log(absl::StrCat("pull failed (", pulled.status().message(), "), trying again"));
    }
    GRADD_RETURN_IF_ERROR(exchange().Pause(verdict.at - now));
  }
}

absl::StatusOr<int64_t> Connection::Pull() {
  if (thread_.facts().vectors == nullptr) {
    return absl::FailedPreconditionError("the session was not opened with shared_memory");
  }
  auto own = thread_.facts().vectors->OwnParameters();
  if (!own.ok()) return own.status();
  return Pull(*own, v1::PARAMETER_VIEW_TRAINING);
}

}  // namespace gradd

#include "client/session.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/connection.h"

namespace gradd {

absl::StatusOr<std::unique_ptr<Session>> Session::Open(SessionOptions options) {
  if (absl::Status valid = ValidatePushEncoding(options.push_encoding); !valid.ok()) return valid;
  if (options.batches_ahead < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("batches_ahead: ", options.batches_ahead, ", at least 0 expected"));
  }
  auto connection = std::make_unique<Connection>(std::move(options));
  if (absl::Status opened = connection->WaitUntilOpen(); !opened.ok()) return opened;
  return std::unique_ptr<Session>(new Session(std::move(connection)));
}

Session::Session(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
Session::~Session() = default;

std::future<absl::StatusOr<PushReport>> Session::Push(const PushInfo& info,
                                                      absl::Span<const float> gradient,
                                                      absl::Span<float> parameters) {
  return connection_->Push(info, gradient, parameters);
}

std::future<absl::StatusOr<PushReport>> Session::Push(const PushInfo& info) {
  return connection_->Push(info);
}

void Session::AbortPush() { connection_->AbortPush(); }

absl::Span<float> Session::gradient() const { return connection_->gradient(); }
absl::Span<const float> Session::parameters() const { return connection_->parameters(); }
bool Session::shares_memory() const { return connection_->shares_memory(); }

absl::StatusOr<int64_t> Session::Pull() { return connection_->Pull(); }

absl::StatusOr<int64_t> Session::Pull(absl::Span<float> parameters, v1::ParameterView view) {
  return connection_->Pull(parameters, view);
}

const std::optional<v1::WelcomeData>& Session::data() const { return connection_->data(); }

const std::optional<v1::WorkerBlob>& Session::blob() const { return connection_->blob(); }

absl::StatusOr<std::vector<int64_t>> Session::NextBatches(int64_t count, absl::Duration patience) {
  return connection_->batches().Take(count, patience);
}

void Session::ReturnBatches(const std::vector<int64_t>& batches) {
  connection_->batches().Return(batches);
}

absl::Status Session::Leave() { return connection_->Leave(); }

const v1::Layout& Session::layout() const { return connection_->layout(); }
int64_t Session::parameter_count() const { return connection_->parameter_count(); }
int64_t Session::max_steps() const { return connection_->max_steps(); }
int64_t Session::next_sequence() const { return connection_->next_sequence(); }
uint64_t Session::timeline() const { return connection_->timeline(); }
bool Session::finished() const { return connection_->finished(); }
int64_t Session::reconnects() const { return connection_->reconnects(); }

int64_t Session::saturated_elements() const { return connection_->saturated_elements(); }

}  // namespace gradd

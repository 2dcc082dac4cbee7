#ifndef GRADD_SERVER_UNARY_CALL_H_
#define GRADD_SERVER_UNARY_CALL_H_

#include <grpcpp/support/server_callback.h>

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/run/run.h"
#include "core/run/run_log.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// What the calls of the control plane have in common.

// The reactor of a call that ends here.
grpc::ServerUnaryReactor* Done(grpc::CallbackServerContext* context, const absl::Status& status);

// Whether people can be shown what somebody wrote in that field. INVALID_ARGUMENT, with `reason` or
// OUT_OF_RANGE.
absl::Status CheckText(absl::string_view field, const std::string& text, size_t max_bytes,
                       absl::string_view reason);

// Who makes a change: as the caller called itself, else its network address.
absl::StatusOr<std::string> Author(const std::string& author, grpc::CallbackServerContext* context);

void LogInfo(absl::string_view event, const LogEntry::Fields& fields);

// Answers for a run when what has happened to it is durable: with the run as it is then, where
// there is a `response`.
void FinishWhenDurable(const std::shared_ptr<Run>& run, grpc::ServerUnaryReactor* reactor,
                       grpc::CallbackServerContext* context, v1::Run* response = nullptr);

}  // namespace gradd

#endif  // GRADD_SERVER_UNARY_CALL_H_

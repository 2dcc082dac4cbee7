#include "server/unary_call.h"

#include <spdlog/spdlog.h>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "server/status.h"

namespace gradd {
namespace {

constexpr size_t kMaxAuthorBytes = 128;

}  // namespace

grpc::ServerUnaryReactor* Done(grpc::CallbackServerContext* context, const absl::Status& status) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status, context));
  return reactor;
}

absl::Status CheckText(absl::string_view field, const std::string& text, size_t max_bytes,
                       absl::string_view reason) {
  if (text.size() > max_bytes) {
    return InvalidArgument(
        "OUT_OF_RANGE",
        absl::StrCat(field, ": ", text.size(), " bytes, at most ", max_bytes, " expected"));
  }
  if (IsPrintableUtf8(text)) return absl::OkStatus();
  return InvalidArgument(
      reason, absl::StrCat(field, ": ", Quoted(text),
                           " has characters that are not seen, printable UTF-8 expected"));
}

absl::StatusOr<std::string> Author(const std::string& author,
                                   grpc::CallbackServerContext* context) {
  GRADD_RETURN_IF_ERROR(CheckText("author", author, kMaxAuthorBytes, "AUTHOR_INVALID"));
  return author.empty() ? context->peer() : author;
}

void LogInfo(absl::string_view event, const LogEntry::Fields& fields) {
  spdlog::info("{}", LogLine(event, fields));
}

void FinishWhenDurable(const std::shared_ptr<Run>& run, grpc::ServerUnaryReactor* reactor,
                       grpc::CallbackServerContext* context, v1::Run* response) {
  run->WhenDurable([run, reactor, context, response](const absl::Status& durable) {
    if (response != nullptr) *response = run->Describe(Run::Detail::kFull);
    reactor->Finish(ToGrpcStatus(durable, context));
  });
}

}  // namespace gradd

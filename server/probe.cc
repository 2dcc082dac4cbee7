#include "server/probe.h"

#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <chrono>
#include <future>

#include "absl/strings/str_cat.h"
#include "server/address.h"

namespace gradd {
namespace {

constexpr std::chrono::seconds kProbeTimeout{3};
constexpr uint32_t kServing = 1;  // HealthCheckResponse.ServingStatus

}  // namespace

absl::Status ProbeHealth(const std::string& address) {
  if (UnixPath(address).empty()) {
    absl::Status valid = ParseHostPort("probe", address, /*lowest_port=*/1).status();
    if (!valid.ok()) return valid;
  }
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  grpc::GenericStub stub(
      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kProbeTimeout);
  grpc::Slice nothing;  // An empty HealthCheckRequest.
  const grpc::ByteBuffer request(&nothing, 1);
  grpc::ByteBuffer response;
  std::promise<grpc::Status> answered;
  stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", {}, &request, &response,
                 [&answered](const grpc::Status& status) { answered.set_value(status); });
  const grpc::Status status = answered.get_future().get();
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
    return absl::UnavailableError(
        absl::StrCat("cannot connect to ", address, ": ", status.error_message()));
  }
  if (!status.ok()) {
    return absl::UnavailableError(
        absl::StrCat("no answer from ", address, ": ", status.error_message()));
  }
  // On the wire a HealthCheckResponse is the same: one number, field 1.
  google::protobuf::UInt32Value serving;
  grpc::ProtoBufferReader reader(&response);
  if (!reader.status().ok() || !serving.ParseFromZeroCopyStream(&reader) ||
      serving.value() != kServing) {
    return absl::UnavailableError(absl::StrCat(address, " does not serve: it is stopping"));
  }
  return absl::OkStatus();
}

}  // namespace gradd

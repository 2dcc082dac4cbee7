#include "server/malformed_requests.h"

#include <google/protobuf/descriptor.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "gradd/v1/run_service.pb.h"

namespace gradd {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::Interceptor;
using grpc::experimental::InterceptorBatchMethods;
using grpc::experimental::ServerRpcInfo;

class MalformedRequest : public Interceptor {
 public:
  explicit MalformedRequest(const char* method) : method_(method) {}

  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      const grpc::Status status = methods->GetSendStatus();
      // The service's own errors have a message.
      if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED &&
          status.error_message().empty()) {
        methods->GetSendTrailingMetadata()->insert({"gradd-reason", "REQUEST_MALFORMED"});
        methods->ModifySendStatus(
            grpc::Status(grpc::StatusCode::INVALID_ARGUMENT,
                         absl::StrCat("the bytes are no request of ", method_)));
      }
    }
    methods->Proceed();
  }

 private:
  const char* const method_;  // gRPC's.
};

// Whether `path` is one of RunService's methods; those that do not exist are UNIMPLEMENTED indeed.
bool IsMethod(absl::string_view path) {
  static const google::protobuf::ServiceDescriptor* const service =
      v1::GetRunRequest::descriptor()->file()->FindServiceByName("RunService");
  return absl::ConsumePrefix(&path, "/") && absl::ConsumePrefix(&path, service->full_name()) &&
         absl::ConsumePrefix(&path, "/") && service->FindMethodByName(std::string(path)) != nullptr;
}

class MalformedRequestFactory : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  Interceptor* CreateServerInterceptor(ServerRpcInfo* info) override {
    if (info->method() == nullptr || !IsMethod(info->method())) return nullptr;
    return new MalformedRequest(info->method());
  }
};

}  // namespace

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeMalformedRequests() {
  return std::make_unique<MalformedRequestFactory>();
}

}  // namespace gradd

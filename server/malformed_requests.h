#ifndef GRADD_SERVER_MALFORMED_REQUESTS_H_
#define GRADD_SERVER_MALFORMED_REQUESTS_H_

#include <grpcpp/support/server_interceptor.h>

#include <memory>

namespace gradd {

// Says what is wrong with a request of RunService that does not parse: INVALID_ARGUMENT with the
// reason REQUEST_MALFORMED. gRPC itself answers with UNIMPLEMENTED and no word, before the service
// sees the request. Other services' RPCs are not touched, and cost nothing.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeMalformedRequests();

}  // namespace gradd

#endif  // GRADD_SERVER_MALFORMED_REQUESTS_H_

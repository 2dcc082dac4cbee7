#ifndef GRADD_CLIENT_PULL_H_
#define GRADD_CLIENT_PULL_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/receive_buffer_pin.h"
#include "core/store/payload.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// What becomes of the chunks of a pull: it gets each as it comes, and ends the pull where it is not
// OK.
using TakeChunk = std::function<absl::Status(const v1::ParameterChunk& chunk, const Payload& data)>;

// Calls TrainingService.Pull. `context` has what the caller wants of the call: a deadline, a way to
// cancel it, the metadata of its end. `taken` gets what `take` said last; the result is that of the
// call, UNAVAILABLE also where nothing comes for a minute. `received` gets the messages before they
// are read, unless it is null.
grpc::Status PullChunks(const std::shared_ptr<grpc::Channel>& channel,
                        const v1::PullRequest& request, grpc::ClientContext* context,
                        const TakeChunk& take, absl::Status* taken,
                        const std::function<void(const grpc::ByteBuffer&)>& received = nullptr);

// How many elements a chunk with `bytes` of payload has, which continues a vector of `total` after
// the first `received`. DATA_LOSS if it does not: another offset, too long, an encoding that
// parameters do not have, or, unless `step` is -1, of another step.
absl::StatusOr<int64_t> CheckChunk(const v1::ParameterChunk& chunk, size_t bytes, int64_t received,
                                   int64_t total, int64_t step);
// DATA_LOSS if these are not all.
absl::Status CheckComplete(int64_t received, int64_t total);

// Decodes a chunk that continues `parameters` after its first `received` elements, and returns
// how many it has. See CheckChunk().
absl::StatusOr<int64_t> DecodeChunk(const v1::ParameterChunk& chunk, const Payload& data,
                                    int64_t received, int64_t step, absl::Span<float> parameters);

// Which parameters were read.
struct Pulled {
  int64_t step = -1;      // -1: none.
  uint64_t timeline = 0;  // That it is a step of; 0: the server does not say.
};

// Reads parameters into `parameters`, which must be as long as the run's vector, and says which.
// OK if the call is, too. See PullChunks().
grpc::Status PullInto(const std::shared_ptr<grpc::Channel>& channel, const v1::PullRequest& request,
                      grpc::ClientContext* context, absl::Span<float> parameters, Pulled* pulled,
                      absl::Status* taken,
                      const std::function<void(const grpc::ByteBuffer&)>& received = nullptr);

// The same for the run `runs/{run_id}`: one try on a connection of its own. `pin` outlives it, and
// so serves the next one too.
absl::StatusOr<Pulled> PullOnce(const std::string& server, const std::string& run,
                                v1::ParameterView view, absl::Span<float> parameters,
                                ReceiveBufferPin* pin);

}  // namespace gradd

#endif  // GRADD_CLIENT_PULL_H_

#ifndef GRADD_CLIENT_PULL_H_
#define GRADD_CLIENT_PULL_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/receive_buffer_pin.h"
#include "core/store/payload.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// Reads the parameters of `run` (`runs/{run_id}`) into `parameters`, which must be as long as
// the run's vector, and returns their step. One try on a connection of its own; gives up with
// UNAVAILABLE when nothing comes for a minute. `pin` outlives it, and so serves the next one too.
absl::StatusOr<int64_t> PullOnce(const std::string& server, const std::string& run,
                                 v1::ParameterView view, absl::Span<float> parameters,
                                 ReceiveBufferPin* pin);

// Decodes a chunk that continues `parameters` after its first `received` elements, and returns
// how many it has. INTERNAL if it does not: another offset, too long, an encoding that parameters
// do not have, or, unless `step` is -1, of another step.
absl::StatusOr<int64_t> DecodeChunk(const v1::ParameterChunk& chunk, const Payload& data,
                                    int64_t received, int64_t step, absl::Span<float> parameters);

}  // namespace gradd

#endif  // GRADD_CLIENT_PULL_H_

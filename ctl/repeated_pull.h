#ifndef GRADD_CTL_REPEATED_PULL_H_
#define GRADD_CTL_REPEATED_PULL_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/error.h"
#include "ctl/client.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd::ctl {

// Pulls parameters into `target`, from the beginning again where a later step needed the memory of
// what was being read. `Target` has Restart(), Take(chunk, data) and Complete(), which is called
// when all is there; each returns an absl::Status.
template <typename Target>
absl::Status PullInto(const v1::PullRequest& request, absl::Duration timeout, Client* client,
                      Target* target) {
  // How often the server may take the parameters away before they are complete.
  constexpr int kPulls = 10;
  absl::Status pulled;
  for (int pull = 0; pull < kPulls; ++pull) {
    GRADD_RETURN_IF_ERROR(target->Restart());
    pulled = client->Pull(request, timeout,
                          [target](const v1::ParameterChunk& chunk, const Payload& data) {
                            return target->Take(chunk, data);
                          });
    if (pulled.code() != absl::StatusCode::kAborted) break;
  }
  GRADD_RETURN_IF_ERROR(pulled);
  return target->Complete();
}

}  // namespace gradd::ctl

#endif  // GRADD_CTL_REPEATED_PULL_H_

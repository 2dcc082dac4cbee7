#ifndef GRADD_CLIENT_PUSH_LOAN_H_
#define GRADD_CLIENT_PUSH_LOAN_H_

#include <future>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/mapped_vectors.h"
#include "client/session.h"

namespace gradd {

// The caller's gradient, lent to the session until its push is answered. Whoever still reads the
// gradient holds the loan: the session, and gRPC, which on a broken connection may do so a little
// longer than the push takes. When the last of them lets go, the caller's future becomes ready with
// `result`, and the memory is the caller's again.
struct PushLoan {
  ~PushLoan() { promise.set_value(std::move(result)); }

  std::shared_ptr<MappedVectors> vectors;  // In which the gradient may lie.
  std::promise<absl::StatusOr<PushReport>> promise;
  absl::StatusOr<PushReport> result = absl::UnknownError("unanswered");
};

// A push as the user asks for it.
struct PushOrder {
  Session::PushInfo info;
  absl::Span<const float> gradient;
  absl::Span<float> parameters;  // Where they go; empty: not wanted.
  bool own_vectors = false;      // Both are the session's own (MappedVectors).
  std::shared_ptr<PushLoan> loan;

  bool wants_parameters() const { return own_vectors || !parameters.empty(); }
};

}  // namespace gradd

#endif  // GRADD_CLIENT_PUSH_LOAN_H_

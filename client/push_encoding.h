#ifndef GRADD_CLIENT_PUSH_ENCODING_H_
#define GRADD_CLIENT_PUSH_ENCODING_H_

#include <cstdint>

#include "absl/status/status.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// How a session writes its gradients. A push that is sent again is the same bytes again.
struct PushEncoding {
  enum class Kind {
    kFloat32,   // As they are.
    kBfloat16,  // Half the bytes, 8 bits of precision (core/codec/bfloat16.h).
    kFloat16,   // Half the bytes, 11 bits of precision; for values from 2^-24 to 65,504.
    kInt8,      // A quarter of the bytes, rounded at random without bias (core/codec/int8.h).
    kTopK,      // The largest `fraction` of the elements, at 8 bytes each (core/codec/top_k.h).
    kRandomK,   // As many drawn at random (core/codec/random_k.h).
    kRows,  // Rows that are not all 0 (core/codec/rows.h), of tensors with few of them: the server
            // leaves the others as they are.
  };

  Kind kind = Kind::kFloat32;
  // TopK, RandomK: which part of the elements a push sends, at least one. Range: (0, 1]. The
  // others are kept in the session and added to the next gradient (core/codec/error_feedback.h);
  // so are those of a push that was rejected, stale or superseded. They are lost with the
  // session, and take as much memory as the gradient.
  double fraction = 0.01;
  // Int8, RandomK: seed of the random choices. Different workers of a run should have different
  // ones, so that their errors do not add up.
  uint64_t seed = 0;
};

// INVALID_ARGUMENT naming the field that is out of range.
absl::Status ValidatePushEncoding(const PushEncoding& encoding);

// What is said on the wire.
v1::Encoding WireEncoding(PushEncoding::Kind kind);

}  // namespace gradd

#endif  // GRADD_CLIENT_PUSH_ENCODING_H_

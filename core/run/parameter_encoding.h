#ifndef GRADD_CORE_RUN_PARAMETER_ENCODING_H_
#define GRADD_CORE_RUN_PARAMETER_ENCODING_H_

#include "absl/status/statusor.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// The encoding in which `join`'s worker gets its parameters: the first dense one it takes, and
// FLOAT32 if it does not say. INVALID_ARGUMENT, reason ENCODING_UNSUPPORTED, if it takes none.
absl::StatusOr<v1::Encoding> ParameterEncodingFor(const v1::Join& join);

}  // namespace gradd

#endif  // GRADD_CORE_RUN_PARAMETER_ENCODING_H_

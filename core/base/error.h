#ifndef GRADD_CORE_BASE_ERROR_H_
#define GRADD_CORE_BASE_ERROR_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace gradd {

// An error with a reason: a stable word in UPPER_SNAKE_CASE that programs can act on,
// beside the message that people read.
absl::Status Error(absl::StatusCode code, absl::string_view reason, absl::string_view message);

// What a peer hears that asks for something which is not right: INVALID_ARGUMENT.
absl::Status InvalidArgument(absl::string_view reason, absl::string_view message);
// What everyone hears while the server stops: UNAVAILABLE.
absl::Status StoppingError();

// The reason of `status`; for one made elsewhere, the name of its code.
std::string ReasonOf(const absl::Status& status);

}  // namespace gradd

// Returns from the calling function with the error of `expression`, if it is one.
#define GRADD_RETURN_IF_ERROR(expression)                                                  \
  do {                                                                                     \
    if (absl::Status gradd_status = (expression); !gradd_status.ok()) return gradd_status; \
  } while (false)

#endif  // GRADD_CORE_BASE_ERROR_H_

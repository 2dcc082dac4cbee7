#ifndef GRADD_CORE_RUN_TIMELINES_H_
#define GRADD_CORE_RUN_TIMELINES_H_

#include <string>

#include "absl/status/status.h"
#include "core/store/timeline.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// A uid for a new run: 128 random bits, as 32 hexadecimal digits.
std::string MakeRunUid();

// INVALID_ARGUMENT if the header names another run than that of `present`, with both uids.
absl::Status CheckRunUid(const v1::PushHeader& header, const Timeline& present);

}  // namespace gradd

#endif  // GRADD_CORE_RUN_TIMELINES_H_

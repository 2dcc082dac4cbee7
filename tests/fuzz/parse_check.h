#ifndef GRADD_TESTS_TRANSPORT_PARSE_CHECK_H_
#define GRADD_TESTS_TRANSPORT_PARSE_CHECK_H_

#include <string>

#include "absl/strings/string_view.h"

namespace gradd {

// Parses `bytes`, whoever made them up, as each message of the data plane, cut into slices as
// `cuts` says. What the generated classes refuse must be refused, and what they take must be taken,
// with the same content; returns what differs, and nothing if nothing does.
std::string CheckParsing(absl::string_view bytes, absl::string_view cuts);

}  // namespace gradd

#endif  // GRADD_TESTS_TRANSPORT_PARSE_CHECK_H_

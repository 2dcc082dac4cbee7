#ifndef GRADD_TESTS_TRANSPORT_PARSE_CHECK_H_
#define GRADD_TESTS_TRANSPORT_PARSE_CHECK_H_

#include <string>

#include "absl/strings/string_view.h"

namespace gradd {

// Parses `bytes`, whoever made them up, as each message of the data plane, cut into slices as
// `cuts` says. Where the generated classes can parse them too, the content must be the same;
// returns what differs, and nothing if nothing does. (What they refuse may pass: they take no tag
// of more than five bytes, for instance.)
std::string CheckParsing(absl::string_view bytes, absl::string_view cuts);

}  // namespace gradd

#endif  // GRADD_TESTS_TRANSPORT_PARSE_CHECK_H_

#ifndef GRADD_TESTS_FUZZ_CHECKS_H_
#define GRADD_TESTS_FUZZ_CHECKS_H_

#include <string>

#include "absl/strings/string_view.h"

namespace gradd {

// Each gives `bytes`, whoever made them up, to a reader of what peers send, in the pieces of
// Cut(bytes, cuts) (input.h), and compares what it says with what another one says. They return
// what differs, for people, and nothing if nothing does.

// As each message of the data plane, against the classes that protobuf generates: what they refuse
// must be refused, and what they take must be taken, with the same content.
std::string CheckParsing(absl::string_view bytes, absl::string_view cuts);

// As all that a connection sends after HTTP/2's preface, against a plain walk over its frames.
std::string CheckFrames(absl::string_view bytes, absl::string_view cuts);

// As what a client of the pages sends, against a plain search for the end of the request's head.
std::string CheckPageRequest(absl::string_view bytes, absl::string_view cuts);

// As a safetensors file, against a reader that makes a tree of its header; and what is read of one
// that is right is written to the same header again.
std::string CheckSafetensors(absl::string_view bytes, absl::string_view cuts);

// As a segment of a run's log, as it is and with all its sums put right: what is read of it is in
// it, and the same without what comes after it.
std::string CheckLog(absl::string_view bytes, absl::string_view cuts);

}  // namespace gradd

#endif  // GRADD_TESTS_FUZZ_CHECKS_H_

#ifndef GRADD_CORE_BASE_CHECK_H_
#define GRADD_CORE_BASE_CHECK_H_

#include "absl/strings/string_view.h"

// Says that `condition` holds whatever peers send and whatever fails: where it does not, there is a
// mistake in gradd itself. `message` says what was found. For what would otherwise go on with wrong
// numbers, such as a count below zero; what ends the process anyway, such as a null pointer, needs
// no check. What a peer can cause is an absl::Status instead.
//
//   GRADD_DCHECK(left >= 0, absl::StrCat("room for ", left, " pushes"));
//
// Ends the process where NDEBUG is not defined: in the presets debug, asan-ubsan, tsan and fuzz.
// In release neither of the two is evaluated: one run's mistake does not end the runs of others. So
// they may take time, and must change nothing. Unlike assert(), it shows values, and what only a
// condition uses is no unused variable.
#ifdef NDEBUG
#define GRADD_DCHECK(condition, message) \
  do {                                   \
    if (false) {                         \
      static_cast<void>(condition);      \
      static_cast<void>(message);        \
    }                                    \
  } while (false)
#else
#define GRADD_DCHECK(condition, message)                                                         \
  do {                                                                                           \
    if (!(condition)) ::gradd::internal::CheckFailed(__FILE__, __LINE__, #condition, (message)); \
  } while (false)
#endif

namespace gradd {
namespace internal {

// Writes one line to standard error and ends the process with SIGABRT.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              absl::string_view message);

}  // namespace internal
}  // namespace gradd

#endif  // GRADD_CORE_BASE_CHECK_H_

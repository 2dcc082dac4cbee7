#ifndef GRADD_TESTS_CORE_DURABILITY_LOG_FILES_H_
#define GRADD_TESTS_CORE_DURABILITY_LOG_FILES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/base/file_system.h"
#include "core/durability/log_segment.h"
#include "core/durability/run_folder.h"
#include "core/sync/staged_push.h"
#include "gradd/state/v1/event.pb.h"
#include "gradd/state/v1/log.pb.h"

namespace gradd {

inline constexpr char kLoggedRun[] = "r";
inline constexpr char kLoggedUid[] = "0123456789abcdef0123456789abcdef";

// Events of a run with that number, as they may be.
state::v1::Event Created(bool journal);
state::v1::Event Evaluated(int64_t number, double loss = 1);
state::v1::Event Paused(int64_t number, const std::string& author = "ada");
state::v1::Event Deleted(int64_t number);
// A step of one push: "a", with sequence `number`.
state::v1::Event Stepped(int64_t number);
// The push of that: `elements` numbers that depend on `number`.
std::shared_ptr<const StagedPush> PushOf(int64_t number, int64_t elements = 3);

// Headers of a log of that run.
state::v1::LogHeader HeaderOf(int64_t segment, int64_t first_event);

// An event that was read, with its data: equal to that of another one only if all of it is.
std::string TextOf(const state::v1::LoggedEvent& event, const std::string& data);
std::string TextOf(const state::v1::Event& event,
                   const std::vector<std::shared_ptr<const StagedPush>>& pushes);

// All of a segment.
struct ReadSegment {
  std::vector<std::string> events;  // See TextOf().
  std::vector<int64_t> numbers;
  std::vector<int64_t> positions;
  std::string end;  // LogEnd; "": none was read.
  int64_t bytes = 0;
  int64_t torn_bytes = 0;
  state::v1::LogHeader header;
  absl::Status status;  // That of LogReader; what was read before is there.
};
ReadSegment ReadAll(FileSystem* files, const std::string& path, bool skip_data = false);

// Numbers of the events in all segments of a folder, in their order. The first error is a failure
// of the test.
std::vector<int64_t> NumbersIn(const RunFolder& folder);

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_DURABILITY_LOG_FILES_H_

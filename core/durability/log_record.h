#ifndef GRADD_CORE_DURABILITY_LOG_RECORD_H_
#define GRADD_CORE_DURABILITY_LOG_RECORD_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace gradd {

// The records that a segment of a log consists of, one after the other, each a multiple of
// kRecordAlignment bytes long. Numbers are little-endian.
//
//   bytes  what
//   4      "gLR1"
//   4      kind
//   8      where in the file the record begins
//   8      bytes of the message
//   8      bytes of the data
//   8      bytes of the file that were durable when the record was written
//   8      sum of all before it in the record: XXH3 with seed 0
//   8      sum of the message, the data and the padding: XXH3 whose seed is this same sum of the
//          record before it, 0 for the first
//   ...    message: a protobuf of gradd.state.v1 (log.proto)
//   ...    data
//   0 - 7  zeros
//
// The first sum tells where the next record begins even where the rest is damaged; the second one
// that nothing in it, or between it and the record before, is missing, changed or of another file.
// A record that is not right was being written when the machine stopped, unless a later one says
// that it was durable: then it is damaged.
enum class RecordKind : uint32_t {
  kHeader = 1,  // LogHeader, the first record and no other.
  kEvent = 2,   // LoggedEvent, with the data of its pushes.
  kEnd = 3,     // LogEnd, the last one where the segment was closed.
};

inline constexpr int64_t kRecordAlignment = 8;
inline constexpr int64_t kRecordHeadBytes = 56;

// What stands before the message of a record.
struct RecordHead {
  RecordKind kind = RecordKind::kHeader;
  int64_t position = 0;
  int64_t message_bytes = 0;
  int64_t data_bytes = 0;
  int64_t durable_bytes = 0;
  uint64_t sum = 0;  // Of message, data and padding.

  // Of the whole record.
  int64_t bytes() const;
  // Of the zeros at its end.
  int64_t padding() const;
};

using RecordHeadBytes = std::array<char, kRecordHeadBytes>;
RecordHeadBytes WriteRecordHead(const RecordHead& head);
// False if it is no head of a record that begins at `position`. Sizes are >= 0 and their sum does
// not overflow.
bool ReadRecordHead(const RecordHeadBytes& bytes, int64_t position, RecordHead* head);

// The zeros at the end of a record: `size` of them, less than kRecordAlignment.
absl::string_view RecordPadding(int64_t size);

// The sum of what comes after the head; `previous` is that of the record before.
uint64_t SumOfRecord(const RecordHead& head, absl::string_view message,
                     absl::Span<const absl::string_view> data, uint64_t previous);

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_LOG_RECORD_H_

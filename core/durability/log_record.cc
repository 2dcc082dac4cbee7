#include "core/durability/log_record.h"

#include <cstring>

#include "core/base/checksum.h"

namespace gradd {
namespace {

constexpr char kMagic[] = {'g', 'L', 'R', '1'};
constexpr size_t kSummedBytes = 40;
constexpr int64_t kMostBytes = int64_t{1} << 60;

template <typename T>
void Put(T value, size_t at, RecordHeadBytes* bytes) {
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is that of the memory");
  std::memcpy(bytes->data() + at, &value, sizeof(value));
}

template <typename T>
T Get(const RecordHeadBytes& bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

}  // namespace

int64_t RecordHead::padding() const {
  const int64_t used = message_bytes + data_bytes;
  return (kRecordAlignment - used % kRecordAlignment) % kRecordAlignment;
}

int64_t RecordHead::bytes() const {
  return kRecordHeadBytes + message_bytes + data_bytes + padding();
}

absl::string_view RecordPadding(int64_t size) {
  static constexpr char kZeros[kRecordAlignment] = {};
  return {kZeros, static_cast<size_t>(size)};
}

RecordHeadBytes WriteRecordHead(const RecordHead& head) {
  RecordHeadBytes bytes;
  std::memcpy(bytes.data(), kMagic, sizeof(kMagic));
  Put(static_cast<uint32_t>(head.kind), 4, &bytes);
  Put(head.position, 8, &bytes);
  Put(head.message_bytes, 16, &bytes);
  Put(head.data_bytes, 24, &bytes);
  Put(head.durable_bytes, 32, &bytes);
  Put(ChecksumOf({bytes.data(), kSummedBytes}, 0), kSummedBytes, &bytes);
  Put(head.sum, 48, &bytes);
  return bytes;
}

bool ReadRecordHead(const RecordHeadBytes& bytes, int64_t position, RecordHead* head) {
  if (std::memcmp(bytes.data(), kMagic, sizeof(kMagic)) != 0) return false;
  if (Get<uint64_t>(bytes, kSummedBytes) != ChecksumOf({bytes.data(), kSummedBytes}, 0)) {
    return false;
  }
  head->kind = static_cast<RecordKind>(Get<uint32_t>(bytes, 4));
  head->position = Get<int64_t>(bytes, 8);
  head->message_bytes = Get<int64_t>(bytes, 16);
  head->data_bytes = Get<int64_t>(bytes, 24);
  head->durable_bytes = Get<int64_t>(bytes, 32);
  head->sum = Get<uint64_t>(bytes, 48);
  return head->position == position && head->message_bytes >= 0 &&
         head->message_bytes < kMostBytes && head->data_bytes >= 0 && head->data_bytes < kMostBytes;
}

uint64_t SumOfRecord(const RecordHead& head, absl::string_view message,
                     absl::Span<const absl::string_view> data, uint64_t previous) {
  Checksum sum(previous);
  sum.Add(message);
  for (const absl::string_view piece : data) sum.Add(piece);
  sum.Add(RecordPadding(head.padding()));
  return sum.value();
}

}  // namespace gradd

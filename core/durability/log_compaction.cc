#include "core/durability/log_compaction.h"

#include <string>

#include "core/base/error.h"
#include "core/durability/log_reader.h"
#include "core/durability/log_segment.h"
#include "core/durability/logged_event.h"

namespace gradd {
namespace {

// Writes the segment anew, without what is no control event.
absl::Status KeepControlEvents(const RunFolder& folder, LogReader* reader, int64_t last_event) {
  state::v1::LogHeader header = reader->header();
  header.set_compacted(true);
  auto segment = LogSegment::Create(&folder.files(), folder.path(), header);
  GRADD_RETURN_IF_ERROR(segment.status());
  reader->SkipData();
  for (;;) {
    const absl::StatusOr<bool> next = reader->Next();
    GRADD_RETURN_IF_ERROR(next.status());
    if (!*next) break;
    if (!IsControlEvent(reader->event().event())) continue;
    GRADD_RETURN_IF_ERROR(
        (*segment)->Add(RecordKind::kEvent, reader->event().SerializeAsString(), {}));
  }
  state::v1::LogEnd end;
  end.set_last_event(last_event);
  GRADD_RETURN_IF_ERROR((*segment)->Add(RecordKind::kEnd, end.SerializeAsString(), {}));
  return (*segment)->Sync();
}

}  // namespace

absl::Status CompactLog(const RunFolder& folder, int64_t oldest, int64_t newest) {
  const auto segments = folder.Segments();
  GRADD_RETURN_IF_ERROR(segments.status());
  for (size_t i = 0; i + 1 < segments->size(); ++i) {
    const auto next =
        LogReader::Open(&folder.files(), folder.SegmentPath((*segments)[i + 1]), nullptr);
    GRADD_RETURN_IF_ERROR(next.status());
    const int64_t last_event = (*next)->header().first_event() - 1;
    const std::string path = folder.SegmentPath((*segments)[i]);
    if (last_event <= oldest) {
      GRADD_RETURN_IF_ERROR(folder.files().Remove(path));
      continue;
    }
    if (last_event > newest) continue;
    const auto reader = LogReader::Open(&folder.files(), path, nullptr);
    GRADD_RETURN_IF_ERROR(reader.status());
    if ((*reader)->header().compacted()) continue;
    GRADD_RETURN_IF_ERROR(KeepControlEvents(folder, reader->get(), last_event));
  }
  return absl::OkStatus();
}

}  // namespace gradd

#include "core/durability/logged_event.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"

namespace gradd {
namespace {

absl::Status Damaged(const state::v1::LoggedEvent& event, absl::string_view what) {
  return InvalidArgument("LOG_DAMAGED", absl::StrCat("event ", event.event().number(), ": ", what));
}

}  // namespace

bool IsControlEvent(const state::v1::Event& event) {
  using Kind = state::v1::Event;
  switch (event.kind_case()) {
    case Kind::kCreated:
    case Kind::kChange:
    case Kind::kState:
    case Kind::kTimeline:
    case Kind::kRestored:
    case Kind::kDeleted:
      return true;
    case Kind::kStep:
    case Kind::kFold:
    case Kind::kAnswer:
    case Kind::kMember:
    case Kind::kLease:
    case Kind::kEvaluation:
    case Kind::KIND_NOT_SET:
      return false;
  }
  return false;
}

state::v1::LoggedEvent DescribeEvent(const state::v1::Event& event, EventLog::Pushes pushes) {
  state::v1::LoggedEvent logged;
  *logged.mutable_event() = event;
  for (const auto& push : pushes) {
    state::v1::LoggedPush& described = *logged.add_pushes();
    *described.mutable_header() = push->header();
    for (const auto& [offset, chunk] : push->chunks()) {
      state::v1::LoggedChunk& part = *described.add_chunks();
      part.set_offset(offset);
      part.set_encoding(chunk.encoding());
      part.set_element_count(chunk.elements());
      part.set_bytes(static_cast<int64_t>(chunk.data().size_bytes()));
    }
  }
  return logged;
}

void AppendData(const StagedPush& push, std::vector<absl::string_view>* pieces) {
  for (const auto& [offset, chunk] : push.chunks()) {
    for (const Payload::Slice& slice : chunk.data().slices()) {
      pieces->emplace_back(reinterpret_cast<const char*>(slice.data()), slice.size());
    }
  }
}

absl::StatusOr<std::vector<std::shared_ptr<const StagedPush>>> ReadPushes(
    const state::v1::LoggedEvent& event, const Layout& layout, const Payload& data) {
  const Payload::Slice all = data.slices().empty() ? Payload::Slice() : data.slices()[0];
  size_t at = 0;
  std::vector<std::shared_ptr<const StagedPush>> pushes;
  for (const state::v1::LoggedPush& described : event.pushes()) {
    auto push = std::make_shared<StagedPush>(described.header(), layout);
    for (const state::v1::LoggedChunk& part : described.chunks()) {
      const auto bytes = static_cast<size_t>(part.bytes());
      if (part.bytes() < 0 || bytes > all.size() - at) {
        return Damaged(event, absl::StrCat("a chunk of ", part.bytes(), " bytes, where ",
                                           all.size() - at, " are left"));
      }
      v1::ParameterChunk chunk;
      chunk.set_offset(part.offset());
      chunk.set_encoding(part.encoding());
      chunk.set_element_count(part.element_count());
      GRADD_RETURN_IF_ERROR(push->Add(chunk, Payload({all.subspan(at, bytes)}, data.owner())));
      at += bytes;
    }
    GRADD_RETURN_IF_ERROR(push->CheckComplete());
    pushes.push_back(std::move(push));
  }
  if (at != all.size()) {
    return Damaged(event, absl::StrCat(all.size() - at, " bytes of data that no push has"));
  }
  return pushes;
}

}  // namespace gradd

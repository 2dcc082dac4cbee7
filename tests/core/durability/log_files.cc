#include "tests/core/durability/log_files.h"

#include <gtest/gtest.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/durability/log_reader.h"
#include "core/durability/logged_event.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

std::string BytesOf(const Payload& data) {
  std::string bytes;
  for (const Payload::Slice& slice : data.slices()) {
    bytes.append(reinterpret_cast<const char*>(slice.data()), slice.size());
  }
  return bytes;
}

state::v1::Event Numbered(int64_t number) {
  state::v1::Event event;
  event.set_number(number);
  event.mutable_time()->set_seconds(1'700'000'000 + number);
  return event;
}

}  // namespace

state::v1::Event Created(bool journal) {
  state::v1::Event event = Numbered(1);
  event.mutable_created()->set_uid(kLoggedUid);
  event.mutable_created()->mutable_spec()->set_name(absl::StrCat("runs/", kLoggedRun));
  event.mutable_created()->mutable_spec()->set_journal(journal);
  return event;
}

state::v1::Event Evaluated(int64_t number, double loss) {
  state::v1::Event event = Numbered(number);
  event.mutable_evaluation()->set_loss(loss);
  return event;
}

state::v1::Event Paused(int64_t number, const std::string& author) {
  state::v1::Event event = Numbered(number);
  event.mutable_state()->set_state(v1::RUN_STATE_PAUSED);
  event.mutable_state()->set_author(author);
  return event;
}

state::v1::Event Deleted(int64_t number) {
  state::v1::Event event = Numbered(number);
  event.mutable_deleted();
  return event;
}

state::v1::Event Stepped(int64_t number) {
  state::v1::Event event = Numbered(number);
  event.mutable_step()->set_step(number);
  state::v1::DecidedPush& used = *event.mutable_step()->add_used();
  used.set_worker("a");
  used.set_sequence(number);
  return event;
}

std::shared_ptr<const StagedPush> PushOf(int64_t number, int64_t elements) {
  v1::PushHeader header;
  header.set_sequence(number);
  auto push = std::make_shared<StagedPush>(header, VectorLayout(elements));
  auto values = std::make_shared<std::vector<float>>();
  for (int64_t i = 0; i < elements; ++i)
    values->push_back(static_cast<float>(number) + 0.25F * static_cast<float>(i));
  v1::ParameterChunk chunk;
  const auto* const bytes = reinterpret_cast<const std::byte*>(values->data());
  const absl::Status added =
      push->Add(chunk, Payload({{bytes, values->size() * sizeof(float)}}, values));
  EXPECT_TRUE(added.ok()) << added;
  return push;
}

state::v1::LogHeader HeaderOf(int64_t segment, int64_t first_event) {
  state::v1::LogHeader header;
  header.set_format_version(1);
  header.set_run_id(kLoggedRun);
  header.set_run_uid(kLoggedUid);
  header.set_segment(segment);
  header.set_first_event(first_event);
  header.set_timeline(1);
  return header;
}

std::string TextOf(const state::v1::LoggedEvent& event, const std::string& data) {
  return absl::StrCat(event.SerializeAsString(), "|", data);
}

std::string TextOf(const state::v1::Event& event,
                   const std::vector<std::shared_ptr<const StagedPush>>& pushes) {
  std::vector<absl::string_view> pieces;
  for (const auto& push : pushes) AppendData(*push, &pieces);
  std::string data;
  for (const absl::string_view piece : pieces) absl::StrAppend(&data, piece);
  return TextOf(DescribeEvent(event, pushes), data);
}

ReadSegment ReadAll(FileSystem* files, const std::string& path, bool skip_data) {
  ReadSegment read;
  const auto reader = LogReader::Open(files, path, nullptr);
  read.status = reader.status();
  if (!reader.ok()) return read;
  if (skip_data) (*reader)->SkipData();
  read.header = (*reader)->header();
  for (;;) {
    const absl::StatusOr<bool> next = (*reader)->Next();
    read.status = next.status();
    if (!next.ok()) return read;
    if (!*next) break;
    read.events.push_back(TextOf((*reader)->event(), BytesOf((*reader)->data())));
    read.numbers.push_back((*reader)->event().event().number());
    read.positions.push_back((*reader)->position());
  }
  if ((*reader)->end().has_value()) read.end = (*reader)->end()->ShortDebugString();
  read.bytes = (*reader)->bytes();
  read.torn_bytes = (*reader)->torn_bytes();
  return read;
}

std::vector<int64_t> NumbersIn(const RunFolder& folder) {
  std::vector<int64_t> numbers;
  const auto segments = folder.Segments();
  if (segments.status().code() == absl::StatusCode::kNotFound) return numbers;
  EXPECT_TRUE(segments.ok()) << segments.status();
  for (const int64_t segment : *segments) {
    const ReadSegment read = ReadAll(&folder.files(), folder.SegmentPath(segment));
    EXPECT_TRUE(read.status.ok()) << read.status;
    numbers.insert(numbers.end(), read.numbers.begin(), read.numbers.end());
  }
  return numbers;
}

}  // namespace gradd

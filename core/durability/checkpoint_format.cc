#include "core/durability/checkpoint_format.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "core/durability/file_checksum.h"
#include "core/run/run_spec.h"
#include "core/store/layout.h"

namespace gradd {
namespace {

constexpr char kFormat[] = "format";
constexpr char kVersion[] = "format_version";
constexpr char kRun[] = "run";
constexpr char kRunUid[] = "run_uid";
constexpr char kTimeline[] = "timeline";
constexpr char kStep[] = "step";
constexpr char kEvents[] = "events";
constexpr char kEvaluationLoss[] = "evaluation_loss";
constexpr char kTime[] = "time";
constexpr char kLayout[] = "layout";
constexpr char kState[] = "state";
constexpr char kChecksum[] = "xxh3";

// The same bytes for the same message.
std::string Serialized(const google::protobuf::Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

// Of what is said in `metadata` of `path`.
class Metadata {
 public:
  Metadata(const std::string& path, const std::map<std::string, std::string>& values)
      : path_(path), values_(values) {}

  // Empty if it is missing, which is noted.
  std::string Text(const char* key) {
    const auto found = values_.find(key);
    if (found != values_.end()) return found->second;
    Refuse(absl::StrCat(kSafetensorsMetadata, ": ", Quoted(key), " is missing"));
    return "";
  }
  template <typename Number>
  Number Whole(const char* key, Number least) {
    const std::string text = Text(key);
    Number number = least;
    if (!absl::SimpleAtoi(text, &number) || number < least || absl::StrCat(number) != text) {
      Refuse(absl::StrCat(kSafetensorsMetadata, ": ", Quoted(key), " is ", Quoted(text),
                          ", a whole number from ", least, " on expected"));
    }
    return number;
  }
  // Unset if it is missing.
  std::optional<double> Number(const char* key) {
    if (values_.count(key) == 0) return std::nullopt;
    double number = 0;
    if (absl::SimpleAtod(Text(key), &number)) return number;
    Refuse(absl::StrCat(kSafetensorsMetadata, ": ", Quoted(key), " is ", Quoted(Text(key)),
                        ", a number expected"));
    return std::nullopt;
  }
  absl::Time Time(const char* key) {
    const std::string text = Text(key);
    absl::Time time;
    std::string error;
    if (!absl::ParseTime(absl::RFC3339_full, text, &time, &error)) {
      Refuse(absl::StrCat(kSafetensorsMetadata, ": ", Quoted(key), " is ", Quoted(text),
                          ", a time expected"));
    }
    return time;
  }
  void Expect(const char* key, absl::string_view expected, absl::string_view why) {
    const std::string text = Text(key);
    if (text == expected) return;
    Refuse(absl::StrCat(kSafetensorsMetadata, ": ", Quoted(key), " is ", Quoted(text), ", ",
                        Quoted(expected), " expected", why));
  }
  void Read(const char* key, google::protobuf::Message* message) {
    std::string bytes;
    if (absl::Base64Unescape(Text(key), &bytes) && message->ParseFromString(bytes)) return;
    Refuse(absl::StrCat(kSafetensorsMetadata, ": ", Quoted(key), " is no ", message->GetTypeName(),
                        " in base64"));
  }
  void Refuse(absl::string_view what) { status_.Update(FileInvalid(path_, what)); }
  // What was noted first.
  const absl::Status& status() const { return status_; }

 private:
  const std::string& path_;
  const std::map<std::string, std::string>& values_;
  absl::Status status_;
};

}  // namespace

std::string SlotTensorName(absl::string_view slot, absl::string_view tensor) {
  return absl::StrCat("optimizer/", slot, "/", tensor);
}

std::string WindowTensorName(absl::string_view tensor) { return absl::StrCat("window/", tensor); }

std::string MetadataChecksum(const std::map<std::string, std::string>& metadata) {
  std::string all;
  for (const auto& [key, value] : metadata) {
    if (key != kChecksum) absl::StrAppend(&all, key, "=", value.size(), ":", value);
  }
  return TextChecksum(all);
}

std::map<std::string, std::string> CheckpointMetadata(const state::v1::RunState& state,
                                                      absl::Time time) {
  state::v1::RunState kept = state;
  kept.mutable_spec()->clear_layout();
  const absl::StatusOr<std::string> run_id = ParseRunName(state.spec().name());
  std::map<std::string, std::string> metadata = {
      {kFormat, kCheckpointFormat},
      {kVersion, kCheckpointVersion},
      {kRun, run_id.ok() ? *run_id : state.spec().name()},
      {kRunUid, state.uid()},
      {kTimeline, absl::StrCat(state.timeline())},
      {kStep, absl::StrCat(state.step())},
      {kEvents, absl::StrCat(state.events())},
      {kTime, absl::FormatTime(absl::RFC3339_full, time, absl::UTCTimeZone())},
      {kLayout, absl::Base64Escape(Serialized(state.spec().layout()))},
      {kState, absl::Base64Escape(Serialized(kept))}};
  if (state.has_evaluation()) {
    metadata[kEvaluationLoss] = absl::StrFormat("%.17g", state.evaluation().loss());
  }
  metadata[kChecksum] = MetadataChecksum(metadata);
  return metadata;
}

absl::StatusOr<CheckpointInfo> ParseCheckpointInfo(
    const std::string& path, const std::map<std::string, std::string>& metadata, int64_t bytes) {
  Metadata read(path, metadata);
  const auto version = metadata.find(kVersion);
  const auto checksum = metadata.find(kChecksum);
  const bool is_whole =
      checksum != metadata.end() && checksum->second == MetadataChecksum(metadata);
  if (is_whole && version != metadata.end() && version->second != kCheckpointVersion) {
    return Error(
        absl::StatusCode::kFailedPrecondition, "FILE_VERSION",
        absl::StrCat(path, ": ", kVersion, ": ", Quoted(version->second), ", ",
                     Quoted(kCheckpointVersion), " expected: another version of gradd wrote it"));
  }
  read.Expect(kFormat, kCheckpointFormat, ": it is no checkpoint");
  read.Expect(kVersion, kCheckpointVersion, ": another version of gradd wrote it");
  read.Expect(kChecksum, MetadataChecksum(metadata), ": it is not as it was written");
  CheckpointInfo info;
  info.run_id = read.Text(kRun);
  info.run_uid = read.Text(kRunUid);
  info.timeline = read.Whole<uint64_t>(kTimeline, 1);
  info.step = read.Whole<int64_t>(kStep, 0);
  info.events = read.Whole<int64_t>(kEvents, 1);
  info.evaluation_loss = read.Number(kEvaluationLoss);
  info.time = read.Time(kTime);
  info.bytes = bytes;
  const absl::Status valid = ValidateRunId(info.run_id);
  if (!valid.ok()) read.Refuse(absl::StrCat(kSafetensorsMetadata, ": ", valid.message()));
  GRADD_RETURN_IF_ERROR(read.status());
  return info;
}

absl::StatusOr<v1::Layout> ParseCheckpointLayout(
    const std::string& path, const std::map<std::string, std::string>& metadata) {
  Metadata read(path, metadata);
  v1::Layout layout;
  read.Read(kLayout, &layout);
  GRADD_RETURN_IF_ERROR(read.status());
  return layout;
}

absl::StatusOr<state::v1::RunState> ParseCheckpointState(
    const std::string& path, const std::map<std::string, std::string>& metadata,
    const CheckpointInfo& info) {
  Metadata read(path, metadata);
  state::v1::RunState state;
  v1::Layout layout;
  read.Read(kState, &state);
  read.Read(kLayout, &layout);
  GRADD_RETURN_IF_ERROR(read.status());
  const auto expect = [&read](const char* what, const auto& found, const auto& expected) {
    if (found == expected) return;
    read.Refuse(absl::StrCat("its state is of ", what, " ", found, ", its metadata of ", expected));
  };
  expect("run", state.spec().name(), absl::StrCat("runs/", info.run_id));
  expect("uid", state.uid(), info.run_uid);
  expect("timeline", state.timeline(), info.timeline);
  expect("step", state.step(), info.step);
  expect("events", state.events(), info.events);
  if (state.spec().has_layout()) read.Refuse("its state has a layout of its own");
  GRADD_RETURN_IF_ERROR(read.status());
  *state.mutable_spec()->mutable_layout() = std::move(layout);
  return state;
}

void VisitTensorsIn(const v1::Layout& layout, const std::vector<SlotVector::Section>& sections,
                    const std::function<void(const v1::Tensor& tensor, int64_t begin)>& visit) {
  int64_t begin = 0;
  auto section = sections.begin();
  for (const v1::Tensor& tensor : layout.tensors()) {
    const int64_t end = begin + ElementCount(tensor);
    while (section != sections.end() && section->end < end) ++section;
    if (section == sections.end()) return;
    if (section->begin <= begin) visit(tensor, begin);
    begin = end;
  }
}

}  // namespace gradd

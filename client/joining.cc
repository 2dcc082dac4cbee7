#include "client/joining.h"

#include <random>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/push_encoder.h"
#include "core/base/error.h"
#include "core/base/utf8.h"

namespace gradd {
namespace {

// More than any memory holds; so many bytes can be computed with.
constexpr int64_t kMaxParameters = int64_t{1} << 40;

uint64_t RandomInstance() {
  std::random_device device;
  const uint64_t instance = static_cast<uint64_t>(device()) << 32 | device();
  return instance != 0 ? instance : 1;
}

// Whether nothing is to be encoded: what lies in shared memory is not.
bool UsesFloat32(const SessionOptions& options) {
  return options.push_encoding.kind == PushEncoding::Kind::kFloat32 &&
         (options.parameter_encodings.empty() ||
          options.parameter_encodings[0] == v1::ENCODING_FLOAT32);
}

// INTERNAL, saying what was found, where there is none that goes with the rest of the welcome.
absl::StatusOr<Layout> LayoutOf(const v1::Welcome& welcome) {
  if (welcome.parameter_count() < 1 || welcome.parameter_count() > kMaxParameters ||
      welcome.limits().max_chunk_bytes() < kMinChunkBytes) {
    return absl::InternalError(absl::StrCat("welcome with ", welcome.parameter_count(),
                                            " parameters in chunks of ",
                                            welcome.limits().max_chunk_bytes(), " bytes"));
  }
  auto layout = Layout::Create(welcome.layout(), kMaxParameters);
  if (!layout.ok() || layout->element_count() != welcome.parameter_count()) {
    return absl::InternalError(absl::StrCat("welcome with ", welcome.parameter_count(),
                                            " parameters and a layout of others"));
  }
  return layout;
}

}  // namespace

Joining::Joining(const SessionOptions& options)
    : options_(options),
      run_(absl::StartsWith(options.run, "runs/") ? options.run
                                                  : absl::StrCat("runs/", options.run)),
      instance_(RandomInstance()),
      want_shared_memory_(options.shared_memory && UsesFloat32(options)) {}

v1::TrainRequest Joining::Request() const {
  v1::TrainRequest request;
  v1::Join& join = *request.mutable_join();
  join.set_run(run_);
  join.set_worker(options_.worker);
  join.set_instance(instance_);
  join.set_want_shared_memory(want_shared_memory_);
  join.set_sends_timelines(true);
  join.set_parameters_before_result(true);
  if (options_.layout.tensors_size() > 0) *join.mutable_layout() = options_.layout;
  for (const v1::Encoding encoding : options_.parameter_encodings) {
    join.add_parameter_encodings(encoding);
  }
  return request;
}

Joining::Verdict Joining::Welcomed(const v1::Welcome& welcome, Sequences known) {
  absl::StatusOr<Layout> layout = LayoutOf(welcome);
  if (!layout.ok()) return {Verdict::Kind::kProtocolBroken, layout.status()};
  absl::Status fits = CheckPushEncoding(welcome);
  if (fits.ok()) {
    fits = welcome_ ? CheckSameRun(welcome, known) : SetUp(welcome, *std::move(layout));
  }
  if (!fits.ok()) return {Verdict::Kind::kFail, fits};
  if (facts_.vectors != nullptr) facts_.vectors->Close();
  if (want_shared_memory_ && welcome.has_shared_memory()) {
    const absl::Status opened = facts_.vectors->Open(welcome.shared_memory());
    if (!opened.ok()) {
      want_shared_memory_ = false;
      return {Verdict::Kind::kJoinAgain,
              absl::CancelledError(absl::StrCat(opened.message(), "; joining without it"))};
    }
  }
  welcome_ = true;
  timeline_ = welcome.timeline();
  return {};
}

absl::Status Joining::CheckPushEncoding(const v1::Welcome& welcome) const {
  const v1::Encoding wanted = WireEncoding(options_.push_encoding.kind);
  std::string taken;
  for (const int encoding : welcome.limits().encodings()) {
    if (encoding == wanted) return absl::OkStatus();
    absl::StrAppend(&taken, " ", v1::Encoding_Name(static_cast<v1::Encoding>(encoding)));
  }
  return Error(absl::StatusCode::kFailedPrecondition, "ENCODING_UNSUPPORTED",
               absl::StrCat("push_encoding: the server at ", options_.server, " does not take ",
                            v1::Encoding_Name(wanted), " but", taken));
}

absl::Status Joining::CheckSameRun(const v1::Welcome& welcome, Sequences known) const {
  if (!facts_.run_uid.empty() && welcome.run_uid() != facts_.run_uid) {
    return absl::FailedPreconditionError(
        absl::StrCat(run_, " is another run than the one that this session joined: its uid is ",
                     Quoted(welcome.run_uid()), ", expected ", Quoted(facts_.run_uid)));
  }
  // Another timeline may have begun at any point of any other.
  const bool is_known =
      welcome.timeline() != timeline_ ||
      (welcome.last_sequence() >= known.least && welcome.last_sequence() <= known.most);
  if (welcome.parameter_count() == facts_.parameter_count && is_known) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      run_, " is not as this session left it: it has ", welcome.parameter_count(),
      " parameters and its last push of worker \"", options_.worker, "\" is ",
      welcome.last_sequence(), ", expected ", facts_.parameter_count, " and ", known.most));
}

absl::Status Joining::SetUp(const v1::Welcome& welcome, Layout layout) {
  if (options_.shared_memory) {
    auto vectors = MappedVectors::Create(welcome.parameter_count());
    GRADD_RETURN_IF_ERROR(vectors.status());
    facts_.vectors = *std::move(vectors);
  }
  facts_.layout = welcome.layout();
  facts_.parameter_count = welcome.parameter_count();
  facts_.max_steps = welcome.max_steps();
  facts_.run_uid = welcome.run_uid();
  if (welcome.has_data()) facts_.data = welcome.data();
  if (welcome.has_blob()) facts_.blob = welcome.blob();
  layout_ = std::move(layout);
  return absl::OkStatus();
}

}  // namespace gradd

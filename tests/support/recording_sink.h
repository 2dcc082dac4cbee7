#ifndef GRADD_TESTS_SUPPORT_RECORDING_SINK_H_
#define GRADD_TESTS_SUPPORT_RECORDING_SINK_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/run/session_sink.h"

namespace gradd {

// The way back to a worker that writes down what it is asked for, a line each: `result 7 APPLIED
// at step 3`, `end: OK`. Not thread safe.
class RecordingSink final : public SessionSink {
 public:
  // What has come since the last call.
  std::vector<std::string> Take() { return std::exchange(lines_, {}); }

  bool same_host() const override { return false; }
  void Send(v1::TrainResponse message) override { lines_.push_back(LineOf(message)); }
  void SendParameters(std::shared_ptr<const Snapshot> snapshot, v1::Encoding encoding) override {
    lines_.push_back(
        absl::StrCat("parameters of step ", snapshot->step, " in ", v1::Encoding_Name(encoding)));
  }
  void Flush() override {}
  void ResumeReading() override { lines_.push_back("resume"); }
  void End(absl::Status status) override { lines_.push_back("end: " + TextOf(status)); }
  void Abandon(absl::Status status) override { lines_.push_back("abandon: " + TextOf(status)); }

 private:
  static std::string TextOf(const absl::Status& status) {
    return status.ok() ? "OK" : std::string(status.message());
  }
  static std::string LineOf(const v1::TrainResponse& message) {
    if (message.has_event()) {
      return absl::StrCat("event ", v1::RunEventKind_Name(message.event().kind()), " at step ",
                          message.event().step());
    }
    if (!message.has_push_result()) return message.ShortDebugString();
    const v1::PushResult& result = message.push_result();
    std::string line =
        absl::StrCat("result ", result.sequence(), " ",
                     v1::PushOutcome_Name(result.outcome()).substr(13), " at step ", result.step());
    if (result.committed_step() != 0) {
      absl::StrAppend(&line, ", was ", v1::PushOutcome_Name(result.committed_outcome()).substr(13),
                      " at step ", result.committed_step());
    }
    if (result.parameters_follow()) line += ", parameters follow";
    if (!result.reason().empty()) absl::StrAppend(&line, ", ", result.reason());
    return line;
  }

  std::vector<std::string> lines_;
};

}  // namespace gradd

#endif  // GRADD_TESTS_SUPPORT_RECORDING_SINK_H_

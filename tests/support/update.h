#ifndef GRADD_TESTS_SUPPORT_UPDATE_H_
#define GRADD_TESTS_SUPPORT_UPDATE_H_

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "core/run/run.h"
#include "google/protobuf/field_mask.pb.h"

namespace gradd {

// Asks for a change of `run` and returns at once: the answer comes later.
inline std::future<absl::StatusOr<v1::Run>> BeginUpdate(Run* run, const v1::Run& values,
                                                        const google::protobuf::FieldMask& mask,
                                                        const std::string& author = "") {
  const auto promise = std::make_shared<std::promise<absl::StatusOr<v1::Run>>>();
  run->Update({values, mask, author,
               [promise](const absl::StatusOr<v1::Run>& updated) { promise->set_value(updated); }});
  return promise->get_future();
}

// Whether there is an answer.
inline bool IsAnswered(const std::future<absl::StatusOr<v1::Run>>& update) {
  return update.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

// Changes `run` and waits until the change is in effect or refused. For runs on threads.
inline absl::Status UpdateAndWait(Run* run, const v1::Run& values,
                                  const google::protobuf::FieldMask& mask,
                                  const std::string& author) {
  const auto promise = std::make_shared<std::promise<absl::Status>>();
  run->Update({values, mask, author, [promise](const absl::StatusOr<v1::Run>& updated) {
                 promise->set_value(updated.status());
               }});
  std::future<absl::Status> answer = promise->get_future();
  if (answer.wait_for(std::chrono::minutes(1)) != std::future_status::ready) {
    return absl::DeadlineExceededError("no answer to a change of a run for a minute");
  }
  return answer.get();
}

}  // namespace gradd

#endif  // GRADD_TESTS_SUPPORT_UPDATE_H_

#include "server/response_queue.h"

#include <utility>

namespace gradd {
namespace {

// Whether it says if the run goes on, which the next event of that kind says anew.
bool SaysIfItGoesOn(const ResponseQueue::Response& response) {
  if (response.hold != nullptr || !response.message.has_event()) return false;
  const v1::RunEventKind kind = response.message.event().kind();
  return kind == v1::RUN_EVENT_KIND_PAUSED || kind == v1::RUN_EVENT_KIND_RESUMED;
}

}  // namespace

bool ResponseQueue::Add(v1::TrainResponse message) {
  Response response{std::move(message), nullptr};
  if (!responses_.empty() && SaysIfItGoesOn(response) && SaysIfItGoesOn(responses_.back())) {
    responses_.back() = std::move(response);
    return true;
  }
  if (responses_.size() >= kMaxResponses) return false;
  responses_.push_back(std::move(response));
  return true;
}

bool ResponseQueue::Add(std::shared_ptr<VersionReaders::Hold> hold, v1::Encoding encoding) {
  if (responses_.size() >= kMaxResponses) return false;
  responses_.push_back({{}, std::move(hold), encoding});
  return true;
}

}  // namespace gradd

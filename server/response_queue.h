#ifndef GRADD_SERVER_RESPONSE_QUEUE_H_
#define GRADD_SERVER_RESPONSE_QUEUE_H_

#include <cstddef>
#include <deque>
#include <memory>

#include "core/store/version_readers.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// What is still to be sent to one worker, in order. Bounded, whatever the peer reads: a worker
// awaits what it has asked for, and of events that overtake each other only the last one stays.
//
// Not thread safe.
class ResponseQueue {
 public:
  // With so many in the queue, no further request is read: no honest worker leaves so many unread.
  static constexpr size_t kManyResponses = 256;
  // Events come without the worker's doing. One that leaves so many unread does not read any more.
  static constexpr size_t kMaxResponses = 1024;

  // A message, or a snapshot whose blocks are sent one by one.
  struct Response {
    v1::TrainResponse message;
    std::shared_ptr<VersionReaders::Hold> hold;
    v1::Encoding encoding = v1::ENCODING_FLOAT32;
    size_t next_block = 0;
  };

  // False, with nothing changed, if kMaxResponses wait.
  [[nodiscard]] bool Add(v1::TrainResponse message);
  [[nodiscard]] bool Add(std::shared_ptr<VersionReaders::Hold> hold, v1::Encoding encoding);

  bool empty() const { return responses_.empty(); }
  size_t size() const { return responses_.size(); }
  Response& front() { return responses_.front(); }
  void pop_front() { responses_.pop_front(); }
  void clear() { responses_.clear(); }

 private:
  std::deque<Response> responses_;
};

}  // namespace gradd

#endif  // GRADD_SERVER_RESPONSE_QUEUE_H_

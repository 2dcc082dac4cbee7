#ifndef GRADD_CORE_RUN_SESSION_SINK_H_
#define GRADD_CORE_RUN_SESSION_SINK_H_

#include <memory>

#include "absl/status/status.h"
#include "core/store/snapshot.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// The way back to one worker: implemented by the transport, and by tests. The run calls it
// with its lock held, so nothing here may block or call back.
class SessionSink {
 public:
  virtual ~SessionSink() = default;

  // Whether the peer is a process on this host.
  virtual bool same_host() const = 0;

  // Messages arrive in the order of these calls. A result that parameters follow may wait for
  // them, so that both leave together: until Flush() at most, which is due after it.
  virtual void Send(v1::TrainResponse message) = 0;
  virtual void Flush() = 0;

  // Sends the snapshot's parameters in chunks of a dense encoding. WorkerSession::ParametersMove()
  // is due when one is on its way, ParametersSent() when all are.
  virtual void SendParameters(std::shared_ptr<const Snapshot> snapshot, v1::Encoding encoding) = 0;

  // The session is not held any longer: the next request may be read.
  virtual void ResumeReading() = 0;

  // Ends the stream after what was sent so far. Nothing is called after it.
  virtual void End(absl::Status status) = 0;

  // Ends the stream of a peer that may not read any more, without what still waits to be sent; what
  // is on its way is given a few seconds.
  // Nothing is called after it.
  virtual void Abandon(absl::Status status) = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_SESSION_SINK_H_

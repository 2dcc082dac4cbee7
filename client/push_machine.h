#ifndef GRADD_CLIENT_PUSH_MACHINE_H_
#define GRADD_CLIENT_PUSH_MACHINE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/mapped_vectors.h"
#include "client/push_encoder.h"
#include "client/push_loan.h"
#include "client/session.h"
#include "core/store/payload.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// A request of a push, with its chunk's data apart.
struct PushMessage {
  v1::TrainRequest request;
  Payload data;
};

// A session's pushes, one at a time: each from its order to its answer, over as many streams as it
// takes. The machine is told what happens and says what is to be done; it sends nothing and waits
// for nothing.
//
//   none --Order()--> waiting --Begin()--> sending --Next(), the last--> sent
//                        ^                    |                           |
//                        +-- StreamEnded() ---+------ from any of these --+
//                                             +-- OnResult(): RESEND -----+
//                                             |                           |
//   none <--Finish(), when an Action says so--+-------- OnResult() -------+--> receiving
//                                                                         OnParameters()
//
// Parameters may also come before the result, while the push is sent: they are on their way then
// while the server writes its journal. Until the result is there they count for nothing.
//
// A push that is sent again, on another stream or since the server says so (RESEND: its memory was
// needed), has the same sequence and the same bytes, so it counts once. Where
// `welcome` says that the server has it already, only its end is sent, to ask for its result.
//
// With TopK and RandomK, what a push sent goes back into the residual if the server said that it
// did not become part of a step, and so comes with the next push. Unless that was since it is of a
// timeline that has ended (ROLLED_BACK): then the residual is, too, and is forgotten.
//
// Abort() takes a push back. If anything of it was sent, the server is told instead of the rest,
// and says what became of it; on another stream, its first part without a chunk says which push is
// meant.
//
// Not thread safe.
class PushMachine {
 public:
  // What an event calls for.
  struct Action {
    enum class Kind {
      kNone,            // Go on: messages may wait at Next().
      kComplete,        // Finish() the push; `result` is for its caller.
      kProtocolBroken,  // The server does not keep to the protocol, as the error in `result` says.
      kFail,            // This host cannot go on, as the error in `result` says.
    };
    Kind kind = Kind::kNone;
    absl::StatusOr<PushReport> result = PushReport();  // kNone: of no meaning.
  };

  // What is fixed for all pushes of a session.
  struct Terms {
    std::string worker;  // Named in errors.
    int64_t parameter_count = 0;
    std::unique_ptr<PushEncoder> encoder;
    // The session's own vectors, if it has any.
    std::shared_ptr<MappedVectors> vectors;
  };

  // To be called once, at the first welcome, before all else.
  void SetUp(Terms terms);

  // Takes a push on, under the next sequence. Only while there is none.
  void Order(PushOrder order);

  // A stream is open, and the server has said this.
  void StreamOpened(const v1::Welcome& welcome);
  // Told on the stream: another timeline has begun, and the worker's last sequence on it is this; a
  // server may not say so.
  void OnTimeline(uint64_t timeline, std::optional<int64_t> last_sequence);
  // Whether there is a push that nothing is sent of on this stream, and that may begin: one of a
  // timeline up to `pulled`, which the worker knows of from elsewhere, waits for OnTimeline(),
  // since its sequence depends on that.
  bool CanBegin(uint64_t pulled) const;
  // Starts sending the push from its first chunk. Only if CanBegin(), with a stream open.
  Action Begin();
  // The stream is gone: the push waits for the next one.
  void StreamEnded();

  // The push is to be taken back, if there is one that is not answered.
  Action Abort();

  // What to send next, if there is anything.
  std::optional<PushMessage> Next();
  // Encodes what Next() will return, for when there is time: while the last message is on its way.
  void EncodeAhead();

  // What the server says. Parameters that nobody waits for are ignored.
  Action OnResult(const v1::PushResult& result);
  Action OnParameters(const v1::ParameterChunk& chunk, const Payload& data);
  Action OnSharedParameters(const v1::SharedParameters& parameters);

  // Ends the push, of which `result` says what became of it. Its caller gets its answer by the
  // loan.
  std::shared_ptr<PushLoan> Finish(const absl::StatusOr<PushReport>& result);

  // The newest one that a stream has told of.
  uint64_t timeline() const { return timeline_; }
  // Whether there is a push.
  bool active() const { return push_.has_value(); }
  // Whether the server reads the gradient where it lies. Of the present push.
  bool shared() const { return push_->shared; }
  // Of the present push.
  const std::vector<int64_t>& batches() const { return push_->order.info.batches; }
  // Elements of the present push that were out of FLOAT16's range; see PushEncoder.
  int64_t saturated() const { return push_->encoding ? encoder_->saturated() : 0; }
  // Of the present push, or of the next one where there is none.
  int64_t sequence() const { return next_sequence_; }
  // The least and the most that the server's `last_sequence` may be: of the push in flight, it may
  // know or not; of all others, this side knows.
  int64_t least_known() const { return next_sequence_ - 1; }
  int64_t most_known() const { return active() ? next_sequence_ : next_sequence_ - 1; }

 private:
  enum class Phase {
    kWaiting,    // For a stream.
    kSending,    // Its last message is not out.
    kSent,       // The result is missing. Parameters may come before it.
    kReceiving,  // The result is there, the parameters are missing.
  };
  struct Push {
    PushOrder order;
    Phase phase = Phase::kWaiting;
    bool header_sent = false;
    bool begun = false;       // Something of it was sent, on whichever stream.
    bool aborts = false;      // It is to be taken back.
    bool abort_sent = false;  // The server was told, on this stream.
    bool known = false;       // The server has its end or needs none: ask, do not send it again.
    bool shared = false;      // The server reads the gradient where it lies.
    bool encoding = false;    // The encoder has begun it.
    bool dropped = false;     // It did not become part of a step, as the server said.
    // The sequence after it, where the server says that it is not the next one.
    std::optional<int64_t> next_sequence;
    int64_t received_elements = 0;  // Of the parameters, in chunks,
    bool has_parameters = false;    // which are all there.
    PushReport report;
  };

  static Action Complete(absl::StatusOr<PushReport> result);
  static Action ProtocolBroken(const std::string& what);
  static Action Fail(absl::Status why);
  PushMessage Encode();
  void FillHeader(v1::PushHeader* header);
  PushMessage NextOfAbort();
  Action Aborted();
  Action Rejected(const v1::PushResult& result);
  bool AwaitsParameters() const;
  // They are all there.
  Action HasParameters();

  std::string worker_;
  int64_t parameter_count_ = 0;
  std::unique_ptr<PushEncoder> encoder_;
  std::shared_ptr<MappedVectors> vectors_;

  int64_t next_sequence_ = 1;
  uint64_t timeline_ = 0;          // The newest one that a stream has told of.
  uint64_t encoded_timeline_ = 0;  // Of the last push that the encoder began.
  std::string run_uid_;
  std::optional<Push> push_;
  // Of the stream.
  int64_t max_chunk_bytes_ = 0;
  std::optional<PushMessage> ahead_;
  bool end_owed_ = false;  // Of a push that was rejected before its last message was out.
};

}  // namespace gradd

#endif  // GRADD_CLIENT_PUSH_MACHINE_H_

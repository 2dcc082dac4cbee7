#ifndef GRADD_CLIENT_SESSION_H_
#define GRADD_CLIENT_SESSION_H_

// How a C++ worker trains with gradd.
//
// A run lives in a server: its parameters are one flat vector of floats, its tensors laid end to
// end. A worker joins the run under an id of its own, reads the parameters, and then, as often as
// it likes, computes a gradient on a mini-batch and pushes it. The server makes steps from the
// workers' pushes and answers each push with what became of it and with the new parameters.
//
//   absl::Status Train(const std::string& server) {
//     gradd::SessionOptions options;
//     options.server = server;      // "10.0.0.1:50051"
//     options.run = "mnist";        // It exists: `gradctl create` made it.
//     options.worker = "worker-3";  // The same one after a restart.
//     auto session = gradd::Session::Open(options);
//     if (!session.ok()) return session.status();
//
//     const auto count = static_cast<size_t>((*session)->parameter_count());
//     std::vector<float> parameters(count);
//     std::vector<float> gradient(count);
//     absl::StatusOr<int64_t> base = (*session)->Pull(absl::MakeSpan(parameters));
//     while (base.ok() && !(*session)->finished()) {
//       const double loss = ComputeGradient(parameters, absl::MakeSpan(gradient));
//       auto answer = (*session)->Push({*base, kBatchSize, loss}, gradient,
//                                      absl::MakeSpan(parameters));
//       LoadNextBatch();  // The push is on its way meanwhile.
//       const absl::StatusOr<gradd::PushReport> report = answer.get();
//       if (!report.ok() && (*session)->finished()) break;  // Another push was the last one.
//       if (!report.ok()) return report.status();
//       // After ACCUMULATED there are no others than those that are there.
//       if (report->outcome != gradd::v1::PUSH_OUTCOME_ACCUMULATED) {
//         base = report->parameters_step;  // Or Pull(), if that is -1.
//       }
//     }
//     if (!base.ok()) return base.status();
//     return (*session)->Leave();
//   }
//
// What the session does by itself. A lost connection is regained, with a growing back-off, and a
// push that was not answered is sent again under the same sequence: it counts exactly once. Only
// after `give_up_after` without a session do calls fail, and then all of them, with the same error.
//
// What a push's future says. A report, with the outcome:
//   APPLIED     the push is part of step `step`
//   ACCUMULATED it will be part of the next step, which takes several pushes of a worker: no
//               parameters come with it, and the worker goes on from those it has
//   STALE       it was older than the run allows; dropped
//   SUPERSEDED  its step happened without it; dropped
//   SKIPPED     it was not finite, and the run skips such pushes
//   BATCH_USED  a batch of it was used up by another worker's push first; dropped
//   ROLLED_BACK it was computed from parameters that the run does not have any more: the run went
//               back and began a new timeline. Nothing of it counts; compute anew from the present
//               ones, which the push has brought if it asked for parameters
//   ABORTED     AbortPush() took it back in time; nothing of it counts. No parameters come with it
//   DUPLICATE   it counted, or was dropped, on a connection that broke; the server does not know
//               which any more
// after each of which the worker takes the parameters and goes on, with the next sequence unless
// the push was ROLLED_BACK or ABORTED; or an error (ReasonOf() in
// core/base/error.h has the reason as a word):
//   INVALID_ARGUMENT     the push was rejected, and changed nothing: NON_FINITE, and others. The
//                        session goes on, with the same sequence.
//   FAILED_PRECONDITION  RUN_FINISHED; or the session has left; or the run came back without pushes
//                        that this session knows were counted
//   NOT_FOUND            the run was deleted
//   UNAVAILABLE          no session for `give_up_after`
//   CANCELLED            the session ended first, by Leave() or its destructor: the push may still
//                        count. next_sequence() of the worker's next session tells.
//   INTERNAL             the server does not keep to the protocol
//
// When it says so. How long a push takes is the run's matter: a step may wait for other workers,
// and a paused run for its operator. But no future outlives its session: when the session has
// failed, has left or is destroyed, every future is ready, or will be as soon as the transport has
// let go of the gradient. A dead peer is noticed within 15 seconds.

#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "client/push_encoding.h"
#include "gradd/v1/layout.pb.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

class Connection;

// How a session reaches its run.
struct SessionOptions {
  // `host:port`, or `unix:/path`. Required.
  std::string server;
  // Run id or `runs/{run_id}`. Required.
  std::string run;
  // The worker's stable id. Required.
  std::string worker;
  // If it has tensors, the server refuses the session unless the run's layout is
  // the same.
  v1::Layout layout;

  // Share memory with a server on the same host: then use gradient(), parameters() and the Push()
  // that takes neither. With other encodings than FLOAT32, everything goes over the stream.
  bool shared_memory = false;

  // How gradients are written. FAILED_PRECONDITION if the server does not take it.
  PushEncoding push_encoding;
  // Encodings in which parameters may come with the results of pushes, best first: FLOAT32,
  // BFLOAT16, FLOAT16. Default: FLOAT32. What Pull() reads is always FLOAT32.
  std::vector<v1::Encoding> parameter_encodings;

  // A lost connection is tried again after a random time between half of the
  // back-off and all of it; the back-off doubles from `initial` to `maximum`.
  absl::Duration initial_backoff = absl::Milliseconds(100);
  absl::Duration maximum_backoff = absl::Seconds(5);
  // Give up, with the last error, after this long without a session; a try that has begun then may
  // take up to 5 seconds. Applies to Open(), to every reconnect and to Pull().
  absl::Duration give_up_after = absl::Minutes(5);
  // How long Leave() waits for the server.
  absl::Duration leave_timeout = absl::Seconds(5);

  // Where the run has a data set: how many batches to have ready beside those that NextBatches()
  // has given, so that it seldom waits for the server. At least 0.
  int64_t batches_ahead = 2;

  // Told about lost and regained connections, pauses and resumes, one line each;
  // called from the session's thread or one that pushes. Must not wait, so it may Push() only while
  // no push is in flight. May be null.
  std::function<void(const std::string& line)> log;
  // Told of trials of the run (RunService.RunTrials): `runs/{run_id}`, which this worker may train
  // too, in a session of its own. Told again whenever the connection is regained. Called from the
  // session's thread, so what `log` must not do, it must not do either. Null: trials are left to
  // others.
  std::function<void(const std::string& run)> on_trial;
};

// The fate of a push, as the worker needs it.
struct PushReport {
  // DUPLICATE only where the server does not know any more what became of the push the first time.
  v1::PushOutcome outcome = v1::PUSH_OUTCOME_UNSPECIFIED;
  int64_t sequence = 0;
  // APPLIED: the step this push became part of. Otherwise the run's step when it was answered.
  int64_t step = 0;
  // The step of the parameters that were written to the caller's memory, or -1 if
  // none were.
  int64_t parameters_step = -1;
  // The timeline that it is a step of; 0: none were, or the server does not say.
  uint64_t timeline = 0;
};

// One worker's membership in one run, over one connection at a time.
//
// Thread safety: Push() and Pull() from one thread at a time; Leave() and the observers from any.
class Session {
 public:
  // What is said about a gradient.
  struct PushInfo {
    int64_t base_step = 0;  // Step of the parameters it was computed from.
    int64_t examples = 0;   // At least 1.
    double loss = 0;        // Mean over the examples; finite.
    // Of the parameters it was computed from, see timeline(); 0: of those that came last. To be set
    // where others may have come since, as with gradients that are computed ahead.
    uint64_t timeline = 0;
    // Where the run has a data set: the batches that the gradient is of, from NextBatches(), and
    // `examples` is how many these have. Empty where it has none.
    std::vector<int64_t> batches = {};
    // What the worker wants to find again, on whatever machine it goes on (see blob()): at most 64
    // KiB. Empty: what it left before stays.
    std::string blob = {};
  };

  // Connects and joins. Fails at once where trying again cannot help (unknown run,
  // other layout, bad address), else when `give_up_after` has passed.
  static absl::StatusOr<std::unique_ptr<Session>> Open(SessionOptions options);

  // Ends the connection without leaving the run, unless Leave() was called: the run expects this
  // worker back, for as long as its lease is. A push in flight fails with CANCELLED. A connection
  // that is stuck, neither broken nor read by its peer, holds this up for some seconds.
  ~Session();

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Starts a push and returns at once, so that the next batch can be computed while
  // it is in flight. `gradient` has parameter_count() elements and must stay
  // unchanged, and `parameters` untouched, until the future is ready.
  // `parameters` gets the parameters after the step this push becomes part of, and must not overlap
  // the gradient; with an empty span none are asked for. They may come, whole or in part, before it
  // is known what became of the push, and are of no meaning where the future says that it failed.
  //
  // At most one push is in flight: a second one waits for the first, or until Leave() is called.
  //
  // What the future says, and when, is written at the top of this file. With TopK and RandomK a
  // gradient that did not become part of a step comes with the next push; do not push it again,
  // unless the push was ROLLED_BACK or ABORTED: then it is gone.
  std::future<absl::StatusOr<PushReport>> Push(const PushInfo& info,
                                               absl::Span<const float> gradient,
                                               absl::Span<float> parameters);

  // ---- Where the run has a data set (docs/data.md): the server hands out its batches. ----

  // The data set, and how much of it was left, as the server said when the session was opened;
  // none: the run has no data set. core/data/data_set.h has the examples of a batch.
  const std::optional<v1::WelcomeData>& data() const;
  // The numbers of the next batches, up to `count` of them: waits, at most for `patience`, until
  // there is one. To be called ahead of the pushes, where a loader needs time. None: there are no
  // more, all are used up or the run is finished. Each batch is this worker's until a push with it
  // is answered; what a push that was refused or taken back has named may be pushed again, unless
  // it was refused with BATCH_NOT_LEASED or BATCH_LEASE_ENDED: then all that it named are gone.
  // After ROLLED_BACK, all that were taken before are gone: take others. From any thread. Others
  // may have made many steps while this has waited: Pull() before computing, then.
  // DEADLINE_EXCEEDED: none is free now. FAILED_PRECONDITION: NO_DATA_SET, or the session has left.
  // Otherwise what the session has failed with.
  absl::StatusOr<std::vector<int64_t>> NextBatches(
      int64_t count, absl::Duration patience = absl::InfiniteDuration());
  // Gives back batches that were taken and will not be pushed: others get them. From any thread.
  void ReturnBatches(const std::vector<int64_t>& batches);

  // Takes back the push in flight, if there is one, and returns at once; the push's future says
  // what becomes of it: ABORTED; or, where its step is on its way or made, what it would have said
  // anyway. While the server has no room for the push, it does not hear of this either.
  void AbortPush();

  // The session's own vectors, if `shared_memory` was asked for; else empty. Their addresses stay
  // the same. Where the server shares its memory they lie in it, and a push moves no data;
  // elsewhere they are like any others. Between two pushes, the gradient is the worker's to
  // write and the parameters to read; after a push that failed or asked for no parameters, Pull()
  // comes first.
  absl::Span<float> gradient() const;
  absl::Span<const float> parameters() const;
  // Whether the last push went through shared memory.
  bool shares_memory() const;

  // Pushes gradient() and brings parameters() up to date. Both may be touched again when the
  // future is ready.
  std::future<absl::StatusOr<PushReport>> Push(const PushInfo& info);

  // Brings parameters() up to date; otherwise as the next one.
  absl::StatusOr<int64_t> Pull();

  // Reads parameters, by default those at which the next gradient is to be taken, and returns
  // their step. Tries again, for `give_up_after`; a server that says nothing for a minute counts as
  // a try that failed. Needs no session, so it works after Leave() too.
  absl::StatusOr<int64_t> Pull(absl::Span<float> parameters,
                               v1::ParameterView view = v1::PARAMETER_VIEW_TRAINING);

  // Tells the server that this worker is done, so that steps do not wait for it any more, and waits
  // until the server knows, at most `leave_timeout`. OK: it knows. Otherwise its lease of this
  // worker has yet to end: UNAVAILABLE where there is no connection, DEADLINE_EXCEEDED where the
  // server is silent, or what the session had failed with.
  //
  // Whatever it returns, the session is over: it does not connect again, further pushes fail, and
  // only Pull() goes on working. A push in flight is not waited for, since its step may wait for
  // other workers; its future fails with CANCELLED unless the answer comes first. Wait for the
  // future before, if its answer matters.
  //
  // The server hears of it after all that was sent before. While it may not take the worker's push
  // yet, since the worker is too far ahead of the others (bounded staleness) or there is no room,
  // it reads nothing behind that push: then this waits for the push to be taken, or for
  // `leave_timeout`. Once the connection is gone, steps wait for the worker until its lease ends.
  absl::Status Leave();

  // As the server said when the session was opened.
  const v1::Layout& layout() const;
  int64_t parameter_count() const;
  int64_t max_steps() const;

  // The sequence of the next push; 1 for a worker the run has not seen before.
  // Right after Open() it tells a restarted worker where to go on.
  int64_t next_sequence() const;

  // What this worker, on whatever machine, has left with its last push that had a blob, as the
  // server said when the session was opened; none: it has left nothing. Where its sequence is not
  // next_sequence() - 1, later pushes had none.
  const std::optional<v1::WorkerBlob>& blob() const;

  // The timeline of the training parameters that came last, with a push or by Pull(); before that,
  // the run's when the session was opened. 0: the server knows of none.
  uint64_t timeline() const;

  // Whether the run has reached its last step, as far as this session knows.
  bool finished() const;

  // Times the connection was regained after a loss.
  int64_t reconnects() const;

  // Elements of pushes in FLOAT16 that were beyond its range, and were sent as 65504 or -65504. The
  // first ones are told to SessionOptions::log.
  int64_t saturated_elements() const;

 private:
  explicit Session(std::unique_ptr<Connection> connection);
  std::unique_ptr<Connection> connection_;
};

}  // namespace gradd

#endif  // GRADD_CLIENT_SESSION_H_

#ifndef GRADD_CLIENT_SESSION_H_
#define GRADD_CLIENT_SESSION_H_

#include <cstdint>
#include <functional>
#include <future>
#include <memory>
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
  // Give up, with the last error, after this long without a session. Applies to
  // Open() and to every reconnect.
  absl::Duration give_up_after = absl::Minutes(5);

  // Told about lost and regained connections, pauses and resumes, one line each;
  // called from the session's thread. May be null.
  std::function<void(const std::string& line)> log;
  // Told of trials of the run (RunService.RunTrials): `runs/{run_id}`, which this worker may train
  // too, in a session of its own. Told again whenever the connection is regained. Called from the
  // session's thread, so it must not wait. Null: trials are left to others.
  std::function<void(const std::string& run)> on_trial;
};

// The fate of a push, as the worker needs it.
struct PushReport {
  // DUPLICATE only where the server does not know any more what became of the push the first time.
  v1::PushOutcome outcome = v1::PUSH_OUTCOME_UNSPECIFIED;
  int64_t sequence = 0;
  // APPLIED: the step this push became part of; a later one if the result was lost with a
  // connection and asked for again. Otherwise the run's present step.
  int64_t step = 0;
  // The step of the parameters that were written to the caller's memory, or -1 if
  // none were.
  int64_t parameters_step = -1;
};

// One worker's membership in one run over one connection at a time.
//
//   auto session = Session::Open(options).value();
//   std::vector<float> parameters(session->parameter_count());
//   int64_t base = session->Pull(absl::MakeSpan(parameters)).value();
//   while (!session->finished()) {
//     ... compute gradient, loss and examples from parameters ...
//     auto report = session->Push({base, examples, loss}, gradient,
//                                 absl::MakeSpan(parameters)).get();
//     if (!report.ok()) return report.status();
//     base = report->parameters_step;
//   }
//   session->Leave();
//
// A session reconnects by itself and sends a push that was not answered again,
// under the same sequence: it counts exactly once.
//
// Thread safety: Push(), Pull() and Leave() from one thread at a time; the
// observers from any.
class Session {
 public:
  // What is said about a gradient.
  struct PushInfo {
    int64_t base_step = 0;  // Step of the parameters it was computed from.
    int64_t examples = 0;   // At least 1.
    double loss = 0;        // Mean over the examples; finite.
  };

  // Connects and joins. Fails at once where trying again cannot help (unknown run,
  // other layout, bad address), else when `give_up_after` has passed.
  static absl::StatusOr<std::unique_ptr<Session>> Open(SessionOptions options);

  // Ends the connection without leaving the run, unless Leave() was called.
  ~Session();

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Starts a push and returns at once, so that the next batch can be computed while
  // it is in flight. `gradient` has parameter_count() elements and must stay
  // unchanged, and `parameters` untouched, until the future is ready.
  // `parameters` gets the parameters after the step this push becomes part of; with
  // an empty span none are asked for.
  //
  // At most one push is in flight: a second one waits for the first.
  //
  // The future holds an error where the push was rejected (the server's reason and
  // message), the run was deleted, or the connection could not be regained. With TopK and RandomK
  // a rejected gradient comes with the next push; do not push it again.
  // After FINISHED, pushes fail with FAILED_PRECONDITION.
  std::future<absl::StatusOr<PushReport>> Push(const PushInfo& info,
                                               absl::Span<const float> gradient,
                                               absl::Span<float> parameters);

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
  // their step. Tries again like everything else.
  absl::StatusOr<int64_t> Pull(absl::Span<float> parameters,
                               v1::ParameterView view = v1::PARAMETER_VIEW_TRAINING);

  // Tells the server that this worker is done and waits until it knows, at most a
  // few seconds.
  absl::Status Leave();

  // As the server said when the session was opened.
  const v1::Layout& layout() const;
  int64_t parameter_count() const;
  int64_t max_steps() const;

  // The sequence of the next push; 1 for a worker the run has not seen before.
  // Right after Open() it tells a restarted worker where to go on.
  int64_t next_sequence() const;

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

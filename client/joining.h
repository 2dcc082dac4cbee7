#ifndef GRADD_CLIENT_JOINING_H_
#define GRADD_CLIENT_JOINING_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "client/mapped_vectors.h"
#include "client/session.h"
#include "core/store/layout.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// How a session joins its run, each time anew: what it says, and what it looks at in the server's
// `welcome` before it relies on it. It sends nothing.
//
// The first welcome fixes what the run is (Facts). A later one must be of the same run and know the
// pushes that this session knows, unless a new timeline has begun: it may give them up.
class Joining {
 public:
  // Constant from the first verdict kWelcome on.
  struct Facts {
    v1::Layout layout;
    int64_t parameter_count = 0;
    int64_t max_steps = 0;
    std::string run_uid;                  // Empty: the server does not say.
    std::optional<v1::WelcomeData> data;  // Where the run has a data set.
    std::optional<v1::WorkerBlob> blob;   // What the worker has left.
    // The session's own vectors, if it asked for shared memory. What lies behind them changes while
    // a push is in flight.
    std::shared_ptr<MappedVectors> vectors;
  };
  // What to make of a welcome.
  struct Verdict {
    enum class Kind {
      kWelcome,         // The session is open.
      kJoinAgain,       // Not like this; `why` says what the next request leaves out.
      kProtocolBroken,  // This is no server of this protocol; `why` says what was found.
      kFail,            // Nothing helps; `why` is for the user.
    };
    Kind kind = Kind::kWelcome;
    absl::Status why;
  };
  // What a session that comes back knows of its pushes: the server's last one must be within these.
  struct Sequences {
    int64_t least = 0;
    int64_t most = 0;
  };

  // `options` outlive it.
  explicit Joining(const SessionOptions& options);

  v1::TrainRequest Request() const;
  // Until the first verdict kWelcome, `known` is not looked at.
  Verdict Welcomed(const v1::Welcome& welcome, Sequences known);

  // `runs/{run_id}`.
  const std::string& run() const { return run_; }
  // Random, of this session.
  uint64_t instance() const { return instance_; }
  const Facts& facts() const { return facts_; }
  // The run's layout, once there was a welcome.
  const Layout& layout() const { return *layout_; }

 private:
  absl::Status CheckPushEncoding(const v1::Welcome& welcome) const;
  absl::Status CheckSameRun(const v1::Welcome& welcome, Sequences known) const;
  absl::Status SetUp(const v1::Welcome& welcome, Layout layout);

  const SessionOptions& options_;
  const std::string run_;
  const uint64_t instance_;
  bool want_shared_memory_;
  bool welcome_ = false;   // There was a verdict kWelcome.
  uint64_t timeline_ = 0;  // As the last one said.
  Facts facts_;
  std::optional<Layout> layout_;
};

}  // namespace gradd

#endif  // GRADD_CLIENT_JOINING_H_

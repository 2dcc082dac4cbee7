#ifndef GRADD_TESTS_CORE_RUN_SCHEDULES_RANDOM_WORKER_H_
#define GRADD_TESTS_CORE_RUN_SCHEDULES_RANDOM_WORKER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/run/run_registry.h"
#include "tests/core/run/schedules/run_model.h"
#include "tests/core/run/schedules/sgd_reference.h"
#include "tests/support/scripted_worker.h"

namespace gradd {

// A worker that does what workers do, and what they should not, one thing at a time; and tells its
// run's model.
class RandomWorker {
 public:
  RandomWorker(RunRegistry* registry, std::string run, std::string id, RunModel* model,
               std::mt19937_64* random, std::string* trace);

  // Does something. Whoever is `orderly` only goes on with what it has begun.
  void Act(bool orderly);
  // It does nothing any more, for ever.
  void Die() { dead_ = true; }
  bool dead() const { return dead_; }

  // After an action of anybody, in this order: which requests were taken, what was answered, which
  // streams have ended.
  void NoteTaken();
  void NoteAnswers();
  void NoteEnds();
  // Its run is gone, and so is the model.
  void ForgetModel() { model_ = nullptr; }

  void Disconnect();
  // Reads all that is there to be read.
  void ReadAll();
  // Whether it waits for the server to take a request.
  bool IsHeld() const { return stream_ != nullptr && stream_->held(); }
  // Whether its stream should have ended: it said that it sends nothing more, and waits for
  // nothing.
  bool ShouldHaveEnded() const {
    return half_closed_ && stream_ != nullptr && stream_->IsOpen() && stream_->unread() == 0 &&
           open_pushes_ == 0 && !stream_->held() && model_ != nullptr && !model_->Waits(id_) &&
           !model_->IsHeldBack(id_);
  }
  // Whether parameters that it was promised have not come.
  bool IsOwedParameters() const {
    return stream_ != nullptr && stream_->IsOpen() && stream_->received() < promised_;
  }
  bool IsOpen() const { return stream_ != nullptr && stream_->IsOpen(); }
  // Whether its stream should have ended: a new timeline has begun, and it has never said one.
  bool MissedTimeline() const {
    return IsOpen() && !says_timelines_ && model_ != nullptr &&
           stream_->welcome()->timeline() != model_->timeline();
  }
  // What it has begun is not sent to its end.
  bool HasMoreToSend() const { return !queue_.empty() && stream_ != nullptr && stream_->IsOpen(); }
  // What is wrong with its waiting for batches, or with what it has, where the server has nothing
  // left to do; empty if nothing is.
  std::string CheckLeases() const;
  const std::string& id() const { return id_; }
  const std::string& run() const { return run_; }

 private:
  // A message of a push.
  struct Part {
    v1::TrainRequest request;
    Payload data;
    bool begins = false;
    bool completes = false;
    bool aborts = false;  // It is no message of a push but takes it back.
    SentPush push;
  };

  size_t Draw(size_t count) {
    return std::uniform_int_distribution<size_t>(0, count - 1)(*random_);
  }
  bool Chance(size_t one_in) { return Draw(one_in) == 0; }
  template <typename... Parts>
  void Note(const Parts&... parts) {
    absl::StrAppend(trace_, run_, "/", id_, ": ", parts..., "\n");
  }

  void Join();
  void Read();
  void SendPart();
  void SendBare(bool leave);
  void BeginPush();
  // Asks for batches, or gives some back.
  void AskForBatches();
  void ReturnSomeBatches();
  // What it has and has not pushed.
  std::vector<int64_t> BatchesLeft() const;
  void ChooseBatches(SentPush* push);
  void NoteLeases();
  void Abort();
  // That its newest parameters are of, as far as it knows, when the server has sent it none.
  uint64_t TimelineTold() const;
  // Chooses what is wrong with a push, if anything.
  SentPush Choose();
  void Cut(const SentPush& push);

  RunRegistry* const registry_;
  const std::string run_;
  const std::string id_;
  RunModel* model_;
  std::mt19937_64* const random_;
  std::string* const trace_;
  const int64_t elements_;
  const std::vector<float> pattern_;

  std::unique_ptr<ScriptedWorker> stream_;  // Null: it has not joined yet.
  // Streams that newer ones took over from.
  std::vector<std::unique_ptr<ScriptedWorker>> old_streams_;
  std::optional<Part> sent_;  // Not known to be taken.
  std::deque<Part> queue_;
  bool joining_ = false;
  bool half_closed_ = false;
  bool dead_ = false;
  int silent_ = 0;  // For so many turns.
  uint64_t instance_ = 1;
  int64_t sequence_ = 0;         // The last one that counts.
  int64_t queued_ = 0;           // The last one that was begun.
  int64_t step_ = 0;             // Of the newest parameters that it knows of.
  uint64_t timeline_ = 0;        // Likewise.
  bool says_timelines_ = false;  // On this stream.
  int64_t open_pushes_ = 0;
  size_t results_ = 0;
  size_t promised_ = 0;  // Parameters, on this stream.
  // Batches that it has, as far as it knows, those that it had, and those of pushes that are not
  // answered.
  std::set<int64_t> batches_;
  std::vector<int64_t> old_batches_;
  std::deque<std::pair<int64_t, std::vector<int64_t>>> pushed_batches_;  // By sequence.
  std::set<int64_t> named_batches_;  // On this stream, in pushes that it may push again.
  bool asks_ = false;                // For batches, on this stream.
  size_t leases_ = 0;
  size_t timelines_ = 0;  // Events that it has seen.
};

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_SCHEDULES_RANDOM_WORKER_H_

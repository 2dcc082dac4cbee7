// A run whose server loses its power at any call of the file system, or right after any message to
// a worker, and is started again on what is left, ends as if nothing had happened; and nobody was
// told what is not so afterwards.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/core/durability/kept_server.h"
#include "tests/support/specs.h"
#include "tests/support/trainee.h"
#include "tests/support/update.h"

namespace gradd {
namespace {

constexpr int64_t kElements = 5;
constexpr int64_t kLastStep = 22;
constexpr absl::Duration kTick = absl::Milliseconds(100);

// What people do between two steps, in this order.
struct Deed {
  int64_t step;  // When so many are made.
  std::string name;
  bool changes_bits = false;  // Of what comes after it.
};

std::vector<Deed> DeedsOf(bool journal) {
  std::vector<Deed> deeds = {{2, "label"}, {4, "pause"}, {4, "resume"}, {17, "timeline"}};
  if (!journal) return deeds;
  return {{2, "label"},    {3, "rate"},   {4, "pause"},      {4, "resume"},    {6, "evaluate"},
          {7, "evaluate"}, {9, "window"}, {12, "optimizer"}, {17, "timeline"}, {19, "rate back"}};
}

// Nobody has "b" in the meantime.
bool BIsAbsent(int64_t step) { return step >= 14 && step < 16; }

// A run with two workers, from its creation to its last step, on servers that may lose their power.
class Life {
 public:
  static constexpr int64_t kNever = int64_t{1} << 40;

  Life(bool journal, int64_t checkpoint_steps) : journal_(journal), deeds_(DeedsOf(journal)) {
    spec_ = SynchronousSpec(kElements, 2);
    spec_.mutable_optimizer()->mutable_adam();
    spec_.mutable_schedule()->set_learning_rate(0.1);
    spec_.mutable_schedule()->mutable_reduce_on_plateau()->set_patience(0);
    spec_.set_max_steps(kLastStep);
    spec_.set_journal(journal);
    spec_.mutable_checkpoints()->set_every_steps(checkpoint_steps);
    spec_.mutable_checkpoints()->mutable_every()->set_seconds(0);
    files_ = std::make_unique<FakeFileSystem>();
  }
  ~Life() { EndServer(); }

  // When the power goes off.
  struct Cut {
    int64_t call = kNever;     // At that call of the file system;
    int64_t message = kNever;  // when that many messages have gone to workers.
  };

  // Lives with the power off there, and, after that, at some more calls, as the seed says.
  void Live(const Cut& first, uint64_t seed) {
    std::mt19937_64 random(seed);
    StartServer(first, seed);
    int64_t crashes_left = 1 + static_cast<int64_t>(seed % 3);
    for (int64_t acts = 0; !IsOver(); ++acts) {
      if (acts > 3000) {
        Fault(absl::StrCat(
            "it does not go on: step ", Step(), ", told ", told_.step, ", ",
            run() == nullptr ? "" : run()->Describe(Run::Detail::kWorkers).ShortDebugString()));
        break;
      }
      if (server_->halted()) {
        ++crashes_;
        EndServer();
        files_ = files_->AfterCrash(random());
        const bool again = --crashes_left > 0;
        Cut next;
        if (again) next.call = 1 + static_cast<int64_t>(random() % 60);
        StartServer(next, seed + random() % 100);
      }
      if (!server_->halted()) Act();
      Look();
      if (!fault_.empty()) break;
    }
    // Who was told that it is finished finds it so.
    if (fault_.empty() && (server_->halted() || seed % 2 == 1)) {
      EndServer();
      files_ = files_->AfterCrash(random());
      StartServer({}, seed);
    }
    if (fault_.empty()) CheckEnd();
    calls_ = static_cast<int64_t>(files_->calls().size());
    messages_ = server_->messages();
  }

  const std::string& fault() const { return fault_; }
  int64_t crashes() const { return crashes_; }
  int64_t calls() const { return calls_; }
  int64_t messages() const { return messages_; }
  // By step.
  const std::map<int64_t, std::string>& parameters() const { return parameters_; }
  const std::string& end() const { return end_; }
  bool steps_were_lost() const { return lost_; }
  // What another one had, with which all parameters are compared.
  void Expect(const std::map<int64_t, std::string>* parameters) { expected_ = parameters; }

 private:
  // What anybody was told, and so has to hold.
  struct Told {
    bool created = false;
    std::set<std::string> deeds;  // That were answered.
    int64_t step = 0;             // The newest one of this timeline.
    std::map<std::string, int64_t> sequences;
    uint64_t timeline = 1;
    bool paused = false;
    bool finished = false;
  };

  void Fault(const std::string& what) {
    if (fault_.empty()) fault_ = what;
  }
  bool IsOver() const { return told_.finished || !fault_.empty(); }
  std::shared_ptr<Run> run() { return server_->Find("r"); }
  int64_t Step() {
    const auto found = run();
    return found == nullptr ? -1 : found->Progress().step();
  }

  void StartServer(const Cut& cut, uint64_t seed) {
    server_ = std::make_unique<KeptServer>(files_.get(), &clock_, seed);
    server_->HaltAt(static_cast<int64_t>(files_->calls().size()) + cut.call);
    server_->HaltAfterMessages(cut.message);
    const absl::Status started = server_->Start();
    answer_.reset();
    if (server_->halted()) return;
    if (!started.ok()) return Fault(absl::StrCat("it does not start: ", started.ToString()));
    const auto unusable = server_->registry()->Unusable();
    if (!unusable.empty()) return Fault(unusable[0].ShortDebugString());
    CheckRecovered();
  }
  void EndServer() {
    if (server_ == nullptr) return;
    // What it says from now on, nobody hears.
    for (KeptWorker& worker : workers_) worker.Disconnect();
    server_.reset();
  }

  // Right after a start: what was told is so.
  void CheckRecovered() {
    const auto found = run();
    if (found == nullptr) {
      if (told_.created) Fault("the run is gone");
      return;
    }
    state::v1::RunState state;
    found->WriteState(&state);
    if (told_.deeds.count("label") > 0 && state.spec().labels().count("who") == 0) {
      Fault("the label is gone");
    }
    if (state.timeline() < told_.timeline) Fault("an earlier timeline");
    if (told_.paused && state.state() != v1::RUN_STATE_PAUSED) Fault("it is paused no more");
    if (state.step() < told_.step) {
      if (journal_) Fault(absl::StrCat("step ", state.step(), ", and ", told_.step, " was told"));
      if (state.timeline() == told_.timeline) Fault("steps are lost, and the timeline is the same");
      lost_ = true;
    }
    if (journal_ && crashes_ > 0) {
      for (const auto& member : state.members().members()) {
        if (told_.sequences[member.worker()] > member.sequence()) {
          Fault(absl::StrCat("push ", told_.sequences[member.worker()], " of ", member.worker(),
                             " was answered, and the ledger says ", member.sequence()));
        }
      }
    }
    if (state.timeline() > told_.timeline) told_.sequences.clear();
    if (state.timeline() > told_.timeline && !journal_) told_.step = 0;
    told_.timeline = state.timeline();
  }

  // The next thing that somebody does.
  void Act() {
    const auto found = run();
    if (found == nullptr) return Create();
    if (asked_.has_value()) {
      if (answer_ == nullptr) asked_.reset();  // Its server is gone: it is asked again.
      server_->Pass(kTick);
      return;
    }
    const int64_t step = Step();
    for (const Deed& deed : deeds_) {
      const std::string name = absl::StrCat(deed.name, deed.name == "evaluate" ? deed.step : 0);
      if (deed.step > step || told_.deeds.count(name) > 0) continue;
      return Do(deed, name);
    }
    Train(step);
  }

  void Create() {
    const auto created = server_->registry()->Create("r", spec_, "request");
    if (!created.ok()) return server_->Pass(kTick);
    asked_ = "create";
    answer_ = server_->Answer(created->get());
    server_->Pass(kTick);
  }

  void Do(const Deed& deed, const std::string& name) {
    const auto found = run();
    asked_ = name;
    v1::Run values;
    google::protobuf::FieldMask mask;
    absl::Status done;
    if (deed.name == "pause") {
      done = found->Pause("ada");
    } else if (deed.name == "resume") {
      told_.paused = false;  // It may be in force before anybody is told.
      done = found->Resume("ada");
    } else if (deed.name == "timeline") {
      // Asked for twice, it would begin twice; people look first.
      if (!begun_timeline_.has_value() || *begun_timeline_ >= told_.timeline) {
        begun_timeline_ = told_.timeline;
        done = found->BeginTimeline("ada");
      }
    } else if (deed.name == "evaluate") {
      state::v1::RunState state;
      found->WriteState(&state);
      if (!state.has_evaluation() || state.evaluation().step() != deed.step) {
        v1::Evaluation evaluation;
        evaluation.set_step(deed.step);
        evaluation.set_loss(static_cast<double>(deed.step));
        evaluation.set_examples(10);
        done = found->ReportEvaluation(evaluation);
      }
    } else {
      if (deed.name == "label") {
        (*values.mutable_labels())["who"] = "ada";
        mask.add_paths("labels");
      } else if (deed.name == "window") {
        values.mutable_optimizer()->set_accumulation_steps(2);
        mask.add_paths("optimizer.accumulation_steps");
      } else if (deed.name == "optimizer") {
        values.mutable_optimizer()->mutable_momentum();
        values.mutable_optimizer()->set_accumulation_steps(2);
        values.mutable_schedule()->set_learning_rate(0.03);
        mask.add_paths("optimizer");
        mask.add_paths("schedule.learning_rate");
      } else {
        values.mutable_schedule()->set_learning_rate(deed.name == "rate" ? 0.05 : 0.02);
        mask.add_paths("schedule.learning_rate");
      }
      answer_ = std::make_shared<std::optional<absl::Status>>();
      found->Update(
          {values, mask, "ada", [answer = answer_, found](const absl::StatusOr<v1::Run>& updated) {
             if (!updated.ok()) *answer = updated.status();
             if (!updated.ok()) return;
             found->WhenDurable([answer](const absl::Status& status) { *answer = status; });
           }});
      return server_->Pass(kTick);
    }
    // (What is so already is refused.)
    const bool is_so = done.code() == absl::StatusCode::kFailedPrecondition;
    if (!done.ok() && !is_so) return Fault(absl::StrCat(name, ": ", done.ToString()));
    answer_ = server_->Answer(found.get());
    server_->Pass(kTick);
  }

  void Train(int64_t step) {
    const auto found = run();
    KeptWorker& b = workers_[1];
    if (BIsAbsent(step)) {
      if (b.IsJoined()) b.Disconnect();
      state::v1::RunState state;
      found->WriteState(&state);
      for (const auto& member : state.members().members()) {
        if (member.worker() != "b" || member.gone() != v1::WORKER_STATE_UNSPECIFIED) continue;
        // The other one gives signs of life.
        workers_[0].Join(server_.get(), "r", /*want_parameters=*/true);
        return server_->Pass(absl::Seconds(5));
      }
    }
    for (KeptWorker& worker : workers_) {
      if (&worker == &b && BIsAbsent(step)) continue;
      if (worker.stream() != nullptr && worker.stream()->IsOpen()) continue;
      worker.Join(server_.get(), "r", /*want_parameters=*/true);
      return server_->Pass(kTick);
    }
    // In the order in which it would be without a crash: who has fewer in the window comes first.
    state::v1::RunState state;
    found->WriteState(&state);
    KeptWorker* next = nullptr;
    int64_t fewest = 0;
    for (KeptWorker& worker : workers_) {
      if (!worker.IsJoined() || worker.waits() || !worker.stream()->CanSend()) continue;
      for (const auto& member : state.members().members()) {
        if (member.worker() != worker.worker()) continue;
        if (next == nullptr || member.in_window() < fewest) {
          next = &worker;
          fewest = member.in_window();
        }
      }
    }
    // (Where somebody is still to be told of a step, it is awaited.)
    if (next != nullptr && AllAreTold(step)) next->Push(step);
    server_->Pass(kTick);
  }
  bool AllAreTold(int64_t step) const {
    return told_.step == step || std::none_of(std::begin(workers_), std::end(workers_),
                                              [](const auto& worker) { return worker.waits(); });
  }

  // What everybody was told until now.
  void Look() {
    if (asked_.has_value() && answer_ != nullptr && answer_->has_value()) {
      const absl::Status status = **answer_;
      if (status.ok()) {
        if (*asked_ == "create") {
          told_.created = true;
        } else {
          told_.deeds.insert(*asked_);
        }
        if (*asked_ == "pause0") told_.paused = true;
        if (*asked_ == "timeline0") NoteTimeline();
      } else if (!server_->halted()) {
        Fault(absl::StrCat(*asked_, ": ", status.ToString()));
      }
      asked_.reset();
      answer_.reset();
    }
    for (KeptWorker& worker : workers_) {
      for (const v1::PushResult& result : worker.TakeResults()) {
        const bool counts = IsTaken(result);
        if (!counts && result.outcome() != v1::PUSH_OUTCOME_ROLLED_BACK) {
          Fault(absl::StrCat(worker.worker(), ": ", result.ShortDebugString()));
        }
        if (!counts) continue;
        int64_t& told = told_.sequences[worker.worker()];
        if (journal_ && result.sequence() <= told) Fault("a push is answered twice");
        told = result.sequence();
        told_.step = std::max(told_.step, result.step());
      }
      if (worker.stream() == nullptr) continue;
      for (; worker.stream()->unread() > 0;) {
        const auto snapshot = worker.stream()->ReadParameters();
        if (snapshot == nullptr) break;
        // It is told of that step: but one that was asked for on joining comes by itself.
        if (!worker.takes_parameters_first()) told_.step = std::max(told_.step, snapshot->step);
        NoteParameters(snapshot->step, ParametersOf(*snapshot));
      }
      for (const v1::RunEvent& event : worker.stream()->events()) {
        told_.finished = told_.finished || event.kind() == v1::RUN_EVENT_KIND_FINISHED;
      }
    }
  }
  void NoteTimeline() {
    state::v1::RunState state;
    run()->WriteState(&state);
    told_.timeline = state.timeline();
  }
  void NoteParameters(int64_t step, const std::string& bits) {
    const auto known = parameters_.emplace(step, bits).first;
    if (known->second != bits) Fault(absl::StrCat("two parameters of step ", step));
    if (expected_ == nullptr) return;
    const auto expected = expected_->find(step);
    if (expected != expected_->end() && expected->second != bits) {
      Fault(absl::StrCat("other parameters of step ", step));
    }
  }

  void CheckEnd() {
    server_->Settle();
    const auto found = run();
    state::v1::RunState state;
    found->WriteState(&state);
    if (state.step() != kLastStep || state.state() != v1::RUN_STATE_FINISHED) {
      return Fault(absl::StrCat("it ends at step ", state.step()));
    }
    for (const Deed& deed : deeds_) {
      const std::string name = absl::StrCat(deed.name, deed.name == "evaluate" ? deed.step : 0);
      if (told_.deeds.count(name) == 0) Fault(absl::StrCat(name, " was not done"));
    }
    end_ = BitsOf(found.get());
    for (const auto& member : state.members().members()) {
      absl::StrAppend(&end_, "|", member.worker(), member.sequence());
    }
  }

  const bool journal_;
  const std::vector<Deed> deeds_;
  v1::Run spec_;
  FakeClock clock_;
  std::unique_ptr<FakeFileSystem> files_;
  std::unique_ptr<KeptServer> server_;
  KeptWorker workers_[2] = {KeptWorker("a", kElements), KeptWorker("b", kElements)};
  Told told_;
  std::optional<std::string> asked_;  // What is not answered.
  std::shared_ptr<std::optional<absl::Status>> answer_;
  std::optional<uint64_t> begun_timeline_;
  std::map<int64_t, std::string> parameters_;
  const std::map<int64_t, std::string>* expected_ = nullptr;
  std::string end_;
  std::string fault_;
  int64_t crashes_ = 0;
  int64_t calls_ = 0;
  int64_t messages_ = 0;
  bool lost_ = false;
};

struct KeptLife {
  const char* name;
  bool journal;
  int64_t checkpoint_steps;
};

class RecoveryTest : public testing::TestWithParam<KeptLife> {};

TEST_P(RecoveryTest, ThePowerMayFailAtAnyCallAndAfterAnyMessage) {
  const KeptLife& kept = GetParam();
  Life undisturbed(kept.journal, kept.checkpoint_steps);
  undisturbed.Live({}, 0);
  ASSERT_EQ(undisturbed.fault(), "");
  ASSERT_EQ(undisturbed.crashes(), 0);
  std::vector<Life::Cut> cuts;
  for (int64_t call = 1; call <= undisturbed.calls(); ++call) cuts.push_back({call, Life::kNever});
  for (int64_t message = 1; message <= undisturbed.messages(); ++message) {
    cuts.push_back({Life::kNever, message});
  }
  int64_t crashes = 0;
  bool lost = false;
  for (const Life::Cut& cut : cuts) {
    const auto seed = static_cast<uint64_t>(std::min(cut.call, cut.message) * 7);
    Life life(kept.journal, kept.checkpoint_steps);
    life.Expect(&undisturbed.parameters());
    life.Live(cut, seed);
    ASSERT_EQ(life.fault(), "") << "power off at call " << cut.call << ", message " << cut.message
                                << ", seed " << seed;
    ASSERT_TRUE(life.end() == undisturbed.end())
        << "power off at call " << cut.call << ", message " << cut.message;
    crashes += life.crashes();
    lost = lost || life.steps_were_lost();
  }
  EXPECT_GE(crashes, static_cast<int64_t>(cuts.size()));
  EXPECT_EQ(lost, !kept.journal) << "something was at stake";
}

INSTANTIATE_TEST_SUITE_P(Table, RecoveryTest,
                         testing::Values(KeptLife{"journal", true, 0},
                                         KeptLife{"journal_and_checkpoints", true, 6},
                                         KeptLife{"checkpoints", false, 4}),
                         [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace gradd

#include "tests/core/run/schedules/crash_schedule.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_join.h"
#include "core/durability/logged_event.h"
#include "core/run/run_record.h"
#include "tests/core/run/schedules/random_spec.h"
#include "tests/support/replayed_engine.h"
#include "tests/support/trainee.h"

namespace gradd {
namespace {

constexpr int kMostActions = 400;
constexpr int64_t kMostElements = 50;
constexpr absl::Duration kTick = absl::Milliseconds(100);

std::string SpecText(const RunRecord& record) {
  v1::Run spec = record.spec();
  // What is carried over begins where it comes to.
  spec.mutable_schedule()->clear_begins_at();
  return spec.ShortDebugString();
}

// Of its data set, if it has one.
std::set<int64_t> UsedBatches(const RunRecord& record) {
  state::v1::RunState state;
  record.Write(&state);
  std::set<int64_t> used;
  for (int64_t batch = 0; batch < state.data().next(); ++batch) used.insert(batch);
  for (const v1::BatchRange& range : state.data().unused()) {
    for (int64_t i = 0; i < range.count(); ++i) used.erase(range.first() + i);
  }
  return used;
}

std::string StateText(const RunRecord& record) {
  state::v1::RunState state;
  record.Write(&state);
  return state.ShortDebugString();
}

}  // namespace

class CrashSchedule::Teed final : public EventLog {
 public:
  Teed(std::shared_ptr<EventLog> log, std::shared_ptr<std::vector<Happened>> happened,
       const Layout& layout)
      : log_(std::move(log)), happened_(std::move(happened)), layout_(layout) {}

  void Append(const state::v1::Event& event, Pushes pushes) override {
    // The run's own pushes are of its layout, and go with it.
    std::vector<absl::string_view> pieces;
    for (const auto& push : pushes) AppendData(*push, &pieces);
    const auto data = std::make_shared<std::string>(absl::StrJoin(pieces, ""));
    const Payload::Slice slice(reinterpret_cast<const std::byte*>(data->data()), data->size());
    happened_->push_back(
        {event, *ReadPushes(DescribeEvent(event, pushes), layout_, Payload({slice}, data))});
    log_->Append(event, pushes);
  }
  void AwaitCheckpoint(int64_t event) override { log_->AwaitCheckpoint(event); }
  void BeginSegment() override { log_->BeginSegment(); }
  bool keeps() const override { return log_->keeps(); }
  int64_t durable() const override { return log_->durable(); }
  int64_t written() const override { return log_->written(); }
  absl::Status failure() const override { return log_->failure(); }
  bool waits_for_room() const override { return log_->waits_for_room(); }
  void SetListener(const std::function<void()>& moved) override { log_->SetListener(moved); }

 private:
  const std::shared_ptr<EventLog> log_;
  const std::shared_ptr<std::vector<Happened>> happened_;
  const Layout& layout_;
};

CrashSchedule::CrashSchedule(uint64_t seed)
    : random_(seed), files_(std::make_unique<FakeFileSystem>()) {
  const auto workers = 1 + static_cast<int64_t>(Draw(3));
  spec_ = RandomSpec(workers, &random_);
  v1::Tensor& tensor = *spec_.mutable_layout()->mutable_tensors(0);
  tensor.set_shape(0, std::min(tensor.shape(0), kMostElements));
  layout_ = *Layout::Create(spec_.layout(), kMostElements);
  journal_ = Chance(2);
  spec_.set_journal(journal_);
  spec_.mutable_checkpoints()->mutable_every()->set_seconds(0);
  spec_.mutable_checkpoints()->set_every_steps(static_cast<int64_t>(Draw(5)));
  spec_.mutable_checkpoints()->set_keep_last(1 + static_cast<int32_t>(Draw(3)));
  server_ = std::make_unique<KeptServer>(files_.get(), &clock_, seed);
  if (const absl::Status started = server_->Start(); !started.ok()) {
    Fail(std::string(started.message()));
    return;
  }
  // Each run's own log, and what happens beside it.
  server_->registry()->SetEventLogs([open = server_->registry()->environment().open_log,
                                     happened = happened_,
                                     this](const std::string& run_id) -> std::shared_ptr<EventLog> {
    return std::make_shared<Teed>(open(run_id), happened, *layout_);
  });
  for (int64_t i = 0; i < workers; ++i) {
    workers_.emplace_back(std::string(1, static_cast<char>('a' + i)), tensor.shape(0));
  }
  Note(journal_ ? "with" : "without", " a journal: ", spec_.ShortDebugString());
  const auto created = server_->registry()->Create("r", spec_, "q");
  if (!created.ok()) {
    Fail(std::string(created.status().message()));
    return;
  }
  asked_.push_back({"create", 1, server_->Answer(created->get())});
  server_->HaltAt(static_cast<int64_t>(files_->calls().size()) + 1 +
                  static_cast<int64_t>(Draw(150)));
}

CrashSchedule::~CrashSchedule() {
  for (KeptWorker& worker : workers_) worker.Disconnect();
}

void CrashSchedule::Play() {
  for (int i = 0; i < kMostActions && fault_.empty() && !server_->halted(); ++i) {
    Act();
    Listen();
  }
  if (!fault_.empty()) return;
  for (KeptWorker& worker : workers_) worker.Disconnect();
  server_->Kill();
  const uint64_t seed = random_();
  Note("the power fails: ", seed, "; anybody was told up to event ", ToldEvents(), " of ",
       happened_->size());
  files_ = [&] {
    auto left = files_->AfterCrash(seed);
    server_.reset();
    return left;
  }();
  server_ = std::make_unique<KeptServer>(files_.get(), &clock_, seed);
  if (!server_->Start().ok()) return Fail("it does not start again");
  CheckRecovered();
  if (fault_.empty() && server_->Find("r") != nullptr) GoOn();
}

void CrashSchedule::Act() {
  const size_t what = Draw(20);
  if (what < 14) {
    ActOf(&workers_[Draw(workers_.size())]);
  } else if (what < 16) {
    Govern();
  } else {
    server_->Pass(Chance(6) ? absl::Milliseconds(300 + static_cast<int64_t>(Draw(3000))) : kTick);
  }
  if (Chance(2)) return server_->Settle();
  for (size_t i = Draw(6); i > 0 && !server_->halted(); --i) server_->RunOne();
}

void CrashSchedule::ActOf(KeptWorker* worker) {
  const auto run = server_->Find("r");
  if (!worker->IsJoined()) {
    const bool is_open = worker->stream() != nullptr && worker->stream()->IsOpen();
    if (!is_open || Chance(5)) worker->Join(server_.get(), "r", Chance(2));
    return;
  }
  if (Chance(15)) return worker->Disconnect();
  if (worker->waits() || !worker->stream()->CanSend()) return;
  const int64_t step = run->Progress().step();
  Push(worker, Chance(4) ? std::max<int64_t>(step - 1, 0) : step);
}

void CrashSchedule::Push(KeptWorker* worker, int64_t base_step) {
  if (!spec_.has_data()) return worker->Push(base_step);
  std::vector<int64_t> batches = worker->BatchesLeft();
  if (batches.empty()) return worker->AskForBatches(1 + static_cast<int64_t>(Draw(4)));
  batches.resize(1 + Draw(batches.size()));
  worker->Push(base_step, batches);
}

void CrashSchedule::Govern() {
  const auto run = server_->Find("r");
  SpecChange change;
  std::string what = "change";
  switch (Draw(9)) {
    case 0:
      (*change.values.mutable_labels())["n"] = absl::StrCat(Draw(1000));
      change.mask.add_paths("labels");
      break;
    case 1:
      what = "pause";
      if (!run->Pause("ada").ok()) return;
      break;
    case 2:
      what = "resume";
      if (!run->Resume("ada").ok()) return;
      break;
    case 3: {
      what = "evaluation";
      v1::Evaluation evaluation;
      evaluation.set_step(run->Progress().step());
      evaluation.set_loss(static_cast<double>(Draw(100)));
      evaluation.set_examples(1);
      if (!run->ReportEvaluation(evaluation).ok()) return;
      break;
    }
    case 4:
      what = "timeline";
      if (!run->BeginTimeline("ada").ok()) return;
      break;
    default:
      change = RandomChange(1 + static_cast<int64_t>(Draw(workers_.size())), &random_);
      break;
  }
  Note(what, " ", change.mask.ShortDebugString());
  Asked asked;
  asked.what = what;
  if (change.mask.paths().empty()) {
    // (A timeline may begin later: then it is in a later event.)
    asked.event = static_cast<int64_t>(happened_->size());
    asked.answer = server_->Answer(run.get());
    asked_.push_back(asked);
    return;
  }
  asked.answer = std::make_shared<std::optional<absl::Status>>();
  asked_.push_back(asked);
  run->Update({change.values, change.mask, "ada",
               [run, answer = asked.answer, happened = happened_, index = asked_.size() - 1,
                this](const absl::StatusOr<v1::Run>& updated) {
                 if (!updated.ok()) return;
                 asked_[index].event = static_cast<int64_t>(happened->size());
                 run->WhenDurable([answer](const absl::Status& status) { *answer = status; });
               }});
}

void CrashSchedule::Listen() {
  for (KeptWorker& worker : workers_) {
    if (worker.stream() == nullptr) continue;
    for (const v1::PushResult& result : worker.TakeResults()) {
      const bool for_good = IsTaken(result) || result.outcome() == v1::PUSH_OUTCOME_SKIPPED ||
                            result.outcome() == v1::PUSH_OUTCOME_STALE ||
                            result.outcome() == v1::PUSH_OUTCOME_BATCH_USED ||
                            result.outcome() == v1::PUSH_OUTCOME_SUPERSEDED;
      if (for_good) answered_.emplace_back(worker.worker(), result.sequence());
    }
    while (worker.stream()->unread() > 0 && worker.stream()->ReadParameters() != nullptr) {
    }
    if (worker.stream()->welcome().has_value()) {
      told_timeline_ = std::max(told_timeline_, worker.stream()->welcome()->timeline());
    }
    for (const v1::RunEvent& event : worker.stream()->events()) {
      told_timeline_ = std::max(told_timeline_, event.timeline());
    }
  }
}

int64_t CrashSchedule::ToldEvents() const {
  int64_t told = 0;
  for (const Asked& asked : asked_) {
    if (!asked.answer->has_value() || !(*asked.answer)->ok()) continue;
    if (journal_) {
      told = std::max(told, asked.event);
      continue;
    }
    // Evaluations may be lost, and the last thing that people did before one is not.
    for (int64_t number = asked.event; number > told; --number) {
      if (IsControlEvent((*happened_)[static_cast<size_t>(number) - 1].event)) told = number;
    }
  }
  if (!journal_) return told;
  for (const auto& [worker, sequence] : answered_) {
    // The first event that uses it up; on another timeline it may be used again.
    for (const Happened& happened : *happened_) {
      const state::v1::Event& event = happened.event;
      const auto is_it = [&](const auto& push) {
        return push.worker() == worker && push.sequence() == sequence;
      };
      const auto& step = event.step();
      const bool uses = std::any_of(step.used().begin(), step.used().end(), is_it) ||
                        std::any_of(step.others().begin(), step.others().end(), is_it) ||
                        (event.has_fold() && is_it(event.fold().push())) ||
                        (event.has_answer() && is_it(event.answer()) &&
                         event.answer().outcome() != v1::PUSH_OUTCOME_ROLLED_BACK &&
                         event.answer().outcome() != v1::PUSH_OUTCOME_REJECTED);
      if (!uses) continue;
      told = std::max(told, event.number());
      break;
    }
  }
  return told;
}

void CrashSchedule::CheckRecovered() {
  const int64_t told = ToldEvents();
  const auto unusable = server_->registry()->Unusable();
  if (!unusable.empty()) return Fail(unusable[0].progress().reason());
  const auto run = server_->Find("r");
  if (run == nullptr) {
    if (told > 0) Fail("the run is gone");
    return;
  }
  state::v1::RunState found;
  run->WriteState(&found);
  if (found.timeline() < told_timeline_) return Fail("an earlier timeline than somebody was told");
  // Where its events had led: to the checkpoint, or, with all of them in the log, to the last one.
  const auto kept = server_->kept()->CheckpointerOf("r")->checkpoints();
  int64_t base = found.events();
  lost_steps_ = !journal_ && found.timeline() > 1;
  if (!journal_) base = kept.empty() ? 1 : kept.back().events;
  if (base > static_cast<int64_t>(happened_->size()))
    return Fail("there are more events than ever");
  // Another optimizer that is carried over has slots of its own.
  const auto bits_of = [this](const Snapshot& snapshot) {
    return journal_ ? BitsOf(snapshot, {}) : ParametersOf(snapshot);
  };
  RunRecord record;
  ReplayedEngine engine(2 * kTileElements, std::make_unique<VirtualExecutor>(1));
  std::set<std::string> specs;  // That it may have.
  std::set<int> states;
  std::string expected_state;
  std::string expected_bits;
  std::set<int64_t> expected_data;
  for (const Happened& happened : *happened_) {
    record.Apply(happened.event);
    if (record.events() <= base) engine.Append(happened.event, happened.pushes);
    if (record.events() >= std::max<int64_t>(told, 1)) {
      specs.insert(SpecText(record));
      states.insert(record.state());
    }
    if (record.events() == base) {
      expected_state = StateText(record);
      expected_bits = bits_of(*engine.TakeSnapshot());
      expected_data = UsedBatches(record);
      replayed_batches_ += static_cast<int64_t>(expected_data.size());
      replayed_steps_ += record.step();
      if (found.step() != record.step()) {
        return Fail(absl::StrCat("it is at step ", found.step(), ", and was at ", record.step(),
                                 " with event ", base));
      }
    }
  }
  if (!engine.fault().empty()) return Fail(engine.fault());
  if (expected_bits != bits_of(*SnapshotOf(run.get()))) {
    return Fail(absl::StrCat("it has other bits than with event ", base));
  }
  RunRecord now;
  if (!now.Read(found, absl::ZeroDuration()).ok()) return Fail("it has no state that can be read");
  if (UsedBatches(now) != expected_data) return Fail("other batches are used up");
  if (journal_) {
    if (base < told) return Fail(absl::StrCat("event ", told, " was told, and it has ", base));
    state::v1::RunState bare = found;
    bare.mutable_spec()->clear_layout();
    if (bare.ShortDebugString() != expected_state) {
      Fail(absl::StrCat("it is ", bare.ShortDebugString(), "\nand was ", expected_state));
    }
    return;
  }
  if (specs.count(SpecText(now)) == 0) {
    return Fail(absl::StrCat("what people have changed is lost: ", SpecText(now)));
  }
  const bool may_run_again = states.count(v1::RUN_STATE_FINISHED) > 0;
  if (states.count(now.state()) == 0 && !may_run_again) {
    Fail(absl::StrCat("it is ", v1::RunState_Name(now.state())));
  }
}

void CrashSchedule::GoOn() {
  const auto run = server_->Find("r");
  run->Resume("ada").IgnoreError();
  const int64_t step = run->Progress().step();
  const int64_t most = run->Describe(Run::Detail::kSummary).max_steps();
  for (int i = 0; i < 300; ++i) {
    if (run->Progress().step() > step || (most > 0 && step >= most)) return;
    const v1::DataProgress data = run->Progress().data();
    if (spec_.has_data() && data.used_batches() == data.batches()) return;
    for (KeptWorker& worker : workers_) {
      Listen();
      if (!worker.IsJoined()) {
        worker.Join(server_.get(), "r");
      } else if (!worker.waits() && worker.stream()->CanSend()) {
        Push(&worker, run->Progress().step());
      }
      server_->Pass(kTick);
    }
  }
  Fail(
      absl::StrCat("it does not go on: ", run->Describe(Run::Detail::kWorkers).ShortDebugString()));
}

}  // namespace gradd

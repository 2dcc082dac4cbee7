#include "tests/core/run/schedules/random_schedule.h"

#include <algorithm>

#include "google/protobuf/util/field_mask_util.h"
#include "tests/core/run/schedules/random_spec.h"
#include "tests/support/fake_worker.h"
#include "tests/support/trainee.h"

namespace gradd {
namespace {

constexpr int kActions = 250;
constexpr absl::Duration kLongestLease = absl::Seconds(3);
constexpr absl::Duration kLongestDeadline = absl::Seconds(2);

// How the bits that the events lead to differ from the run's.
std::string CompareBits(Run* run, ReplayedEngine* replayed) {
  if (!replayed->fault().empty()) return replayed->fault();
  const auto taken = std::make_shared<std::shared_ptr<const Snapshot>>();
  run->RequestSnapshot(SnapshotContents::kAll,
                       [taken](auto snapshot) { *taken = std::move(snapshot); });
  // Null where a step is on its way, which may be replayed already.
  if (*taken == nullptr || BitsOf(**taken, {}) == BitsOf(*replayed->TakeSnapshot(), {})) return "";
  return absl::StrCat("its events lead to other bits at step ", replayed->step());
}

}  // namespace

RandomSchedule::~RandomSchedule() {
  workers_.clear();
  trials_.clear();
  executor_->RunAll();
}

void RandomSchedule::Fail(const std::string& what) {
  if (fault_.empty()) fault_ = what;
}

RandomSchedule::RandomSchedule(uint64_t seed) : random_(seed), when_(seed) {
  const size_t runs = 1 + Draw(3);
  int64_t largest_step = 0;  // In bytes of pushes.
  for (size_t i = 0; i < runs; ++i) {
    Playground playground;
    playground.id = absl::StrCat("r", i);
    playground.workers = 1 + static_cast<int64_t>(Draw(4));
    playground.spec = RandomSpec(playground.workers, &random_);
    const int64_t elements = playground.spec.layout().tensors(0).shape(0);
    largest_step = std::max(largest_step, playground.workers * elements * 4);
    playgrounds_.push_back(std::move(playground));
  }
  Limits limits;
  room_is_short_ = Chance(2);
  // Sometimes there is room for no more than a step or two at a time.
  if (room_is_short_)
    limits.max_staged_bytes = largest_step + static_cast<int64_t>(Draw(2)) * largest_step / 2;
  auto executor = std::make_unique<VirtualExecutor>(seed + 1);
  executor_ = executor.get();
  registry_ = std::make_unique<RunRegistry>(limits, std::move(executor), &clock_, kTileElements);
  constexpr uint64_t kMakeBits = 4;  // One schedule in so many.
  registry_->SetEventLogs([this, makes_bits = seed % kMakeBits == 0](
                              const std::string& run_id) -> std::shared_ptr<EventLog> {
    const auto log = std::make_shared<Replayed>();
    if (makes_bits) {
      log->engine.emplace(2 * kTileElements, std::make_unique<VirtualExecutor>(when_()));
    }
    for (Playground& playground : playgrounds_) {
      if (playground.id != run_id) continue;
      playground.replayed = log;
      if (playground.spec.has_data()) log->data.emplace(playground.spec.data());
    }
    return log;
  });
  Note("there is room for ", limits.max_staged_bytes, " bytes of pushes");
  for (Playground& playground : playgrounds_) Create(&playground);
}

void RandomSchedule::Create(Playground* playground) {
  const v1::Run& spec = playground->spec;
  const auto run = registry_->Create(playground->id, spec, "");
  Note("creates ", playground->id, " of ", spec.layout().tensors(0).shape(0), ": ",
       spec.optimizer().ShortDebugString(), " ", spec.policy().ShortDebugString(), " ",
       spec.data().ShortDebugString(), " ", run.status().message());
  if (!run.ok()) return Fail("a run is refused");
  playground->run = *run;
  const std::optional<DataModel>& data = playground->replayed->data;
  playground->model = std::make_unique<RunModel>(*run, room_is_short_, &clock_,
                                                 data.has_value() ? &*data : nullptr);
  playground->updates =
      std::make_unique<AskedUpdates>(playground->run->Describe(Run::Detail::kFull));
  playground->model->Look(/*undisturbed=*/true);
  playground->model->Check(/*idle=*/true, /*ticked=*/false);
  const int64_t there =
      std::max<int64_t>(1, playground->workers + static_cast<int64_t>(Draw(3)) - 1);
  for (int64_t worker = 0; worker < there; ++worker) {
    workers_.push_back(std::make_unique<RandomWorker>(registry_.get(), playground->id,
                                                      absl::StrCat("w", worker),
                                                      playground->model.get(), &random_, &trace_));
  }
}

void RandomSchedule::Play() {
  for (int i = 0; i < kActions && fault_.empty(); ++i) Act();
  if (fault_.empty()) Finish();
  for (const Playground& playground : playgrounds_) steps_ += playground.model->step();
}

void RandomSchedule::Act() {
  const size_t what = Draw(100);
  if (what < 70) {
    workers_[Draw(workers_.size())]->Act(/*orderly=*/false);
    Settle();
  } else if (what < 74) {
    Govern();
    Settle();
  } else if (what < 78) {
    Look();
    Settle();
  } else if (what < 80) {
    PassTime(absl::Milliseconds(300 + static_cast<int64_t>(Draw(3000))));
  } else {
    PassTime(absl::Milliseconds(static_cast<int64_t>(Draw(40))));
  }
  while (Draw(3) != 0 && fault_.empty() && executor_->RunOne()) Settle();
}

void RandomSchedule::PassTime(absl::Duration duration) {
  clock_.Advance(duration);
  Note("tick after ", absl::FormatDuration(duration));
  registry_->Tick();
  Settle(/*ticked=*/true);
}

void RandomSchedule::RunTasks() {
  while (fault_.empty() && executor_->RunOne()) Settle();
}

void RandomSchedule::Settle(bool ticked) {
  const bool idle = executor_->idle();
  for (const auto& worker : workers_) worker->NoteTaken();
  for (const Playground& playground : playgrounds_) {
    if (playground.run != nullptr) playground.model->Look(/*undisturbed=*/idle && idle_);
  }
  idle_ = idle;
  for (const auto& worker : workers_) worker->NoteAnswers();
  for (const auto& worker : workers_) worker->NoteEnds();
  for (const Playground& playground : playgrounds_) {
    Fail(playground.updates->Check());
    if (playground.run == nullptr) continue;
    playground.model->Check(idle, ticked);
    Fail(playground.model->fault());
    if (playground.replayed->data.has_value()) Fail(playground.replayed->data->fault());
  }
  if (idle) CheckClaims();
  if (idle && ticked) {
    for (const auto& worker : workers_) Fail(worker->CheckLeases());
  }
  constexpr uint64_t kActionsBetween = 40;
  if (when_() % kActionsBetween == 0) CheckEvents();
}

void RandomSchedule::CheckEvents() {
  for (const Playground& playground : playgrounds_) {
    if (playground.run == nullptr) continue;
    state::v1::RunState live;
    playground.run->WriteState(&live);
    Replayed& replayed = *playground.replayed;
    std::string difference = replayed.record.Compare(live, when_() % 2 == 0);
    if (difference.empty() && replayed.engine.has_value()) {
      difference = CompareBits(playground.run.get(), &*replayed.engine);
    }
    if (!difference.empty()) Fail(absl::StrCat("run ", playground.id, ": ", difference));
  }
}

void RandomSchedule::CheckClaims() {
  for (const auto& worker : workers_) {
    if (worker->IsHeld()) return;
    if (worker->ShouldHaveEnded()) {
      Fail(absl::StrCat(worker->run(), "/", worker->id(),
                        " half-closed its stream and waits for nothing, and it has not ended"));
    }
    if (worker->MissedTimeline()) {
      Fail(absl::StrCat(worker->run(), "/", worker->id(),
                        " has never sent a timeline, a new one has begun, and its stream goes on"));
    }
  }
  for (const Playground& playground : playgrounds_) {
    if (playground.run != nullptr && !playground.model->NothingInFlight()) return;
  }
  const int64_t claimed = registry_->claimed_bytes();
  if (claimed != 0) Fail(absl::StrCat(claimed, " bytes are claimed for pushes that are not there"));
}

void RandomSchedule::Look() {
  Playground& playground = playgrounds_[Draw(playgrounds_.size())];
  if (playground.run == nullptr) return;
  if (read_.size() > 3 || Chance(3)) {
    for (const auto& [snapshot, values] : read_) {
      if (ValuesOf(*snapshot) != values) Fail("a snapshot changed under its reader");
    }
    return read_.clear();
  }
  playground.run->RequestSnapshot(Chance(2) ? SnapshotContents::kAll : SnapshotContents::kTraining,
                                  [this](const std::shared_ptr<const Snapshot>& snapshot) {
                                    if (snapshot == nullptr) return;
                                    read_.emplace_back(snapshot, ValuesOf(*snapshot));
                                  });
  playground.run->Describe(Run::Detail::kFull);
}

void RandomSchedule::Govern() {
  Playground& playground = playgrounds_[Draw(playgrounds_.size())];
  if (playground.run == nullptr) return;
  const size_t what = Draw(46);
  if (what >= 40) {
    if (!playground.run->BeginTimeline("ada").ok()) return;
    Note("begins a timeline of ", playground.id);
    return playground.model->AskedForTimeline();
  }
  if (what < 16) {
    do {
      Change(&playground);
    } while (Chance(3));  // The next one has to wait for it.
    return;
  }
  if (what < 39) return Stop(&playground);
  if (Chance(4)) {
    Note("deletes ", playground.id);
    registry_->Delete(absl::StrCat("runs/", playground.id)).IgnoreError();
    if (!playground.replayed->record.deleted())
      Fail("a run is deleted, and its last event is another");
    for (const auto& worker : workers_) {
      if (worker->run() != playground.id) continue;
      if (worker->IsOpen()) Fail("a stream of a deleted run is open");
      worker->ForgetModel();
    }
    playground.run = nullptr;
  } else if (Chance(4)) {
    Note("drains");
    for (Playground& other : playgrounds_) {
      if (other.model != nullptr) other.model->Drains();
    }
    registry_->Drain();
  }
}

void RandomSchedule::Change(Playground* playground) {
  SpecChange change;
  if (Chance(5)) {
    change.values.set_max_steps(
        Chance(2) ? 0 : playground->model->step() + static_cast<int64_t>(Draw(9)));
    change.mask.add_paths("max_steps");
  } else {
    change = RandomChange(/*workers=*/1 + static_cast<int64_t>(Draw(4)), &random_);
  }
  v1::Run changed;
  google::protobuf::util::FieldMaskUtil::MergeMessageTo(change.values, change.mask, {}, &changed);
  Note("changes ", playground->id, ": ", changed.ShortDebugString());
  playground->updates->Ask(playground->run.get(), change.values, change.mask);
}

void RandomSchedule::Stop(Playground* playground) {
  const size_t what = Draw(8);
  if (what < 2) {
    Note("pauses ", playground->id);
    playground->run->Pause("ada").IgnoreError();
  } else if (what < 5) {
    Note("resumes ", playground->id);
    playground->run->Resume("ada").IgnoreError();
  } else if (what < 6) {
    v1::RunTrialsRequest request;
    request.set_name(absl::StrCat("runs/", playground->id));
    v1::Trial& trial = *request.add_trials();
    trial.mutable_schedule()->set_learning_rate(0.1);
    trial.set_max_steps(3);
    Note("tries out ", playground->id);
    Trials::Start(registry_.get(), request, "ada", [this](auto trials) {
      Note("trials: ", trials.status().message());
      if (trials.ok()) trials_.push_back(*std::move(trials));
    });
  } else if (!trials_.empty()) {
    Note("ends trials");
    trials_.pop_back();
  } else {
    v1::Evaluation evaluation;
    evaluation.set_step(playground->model->step());
    evaluation.set_loss(1);
    evaluation.set_examples(1);
    if (!playground->run->ReportEvaluation(evaluation).ok()) Fail("an evaluation is refused");
  }
}

void RandomSchedule::Finish() {
  Note("the end");
  RunTasks();
  trials_.clear();
  read_.clear();
  Settle();
  for (const Playground& playground : playgrounds_) {
    if (playground.run == nullptr || !fault_.empty() || Chance(3)) continue;
    playground.run->Resume("ada").IgnoreError();
    Settle();
  }
  const bool orderly = Chance(2);  // Else everybody only reads.
  const absl::Duration enough = 3 * (kLongestLease + kLongestDeadline);
  for (absl::Duration passed; passed < enough && fault_.empty();
       passed += absl::Milliseconds(500)) {
    for (int i = 0; i < 8 && fault_.empty(); ++i) {
      for (const auto& worker : workers_) {
        const size_t noted = trace_.size();
        if (orderly && !worker->dead()) worker->Act(/*orderly=*/true);
        if (!worker->dead()) worker->ReadAll();
        if (trace_.size() != noted) Settle();  // Otherwise it has done nothing.
      }
      RunTasks();
    }
    if (fault_.empty()) PassTime(absl::Milliseconds(500));
  }
  RunTasks();
  if (fault_.empty()) CheckEnd();
}

void RandomSchedule::CheckEnd() {
  CheckEvents();
  for (const Playground& playground : playgrounds_) {
    if (playground.run == nullptr) continue;
    const v1::Run run = playground.run->Describe(Run::Detail::kWorkers);
    Note(playground.id, " says: ", run.progress().reason(), "; ", run.policy().ShortDebugString());
    for (const v1::WorkerStatus& worker : run.workers()) {
      Note("  ", worker.worker(), " ", v1::WorkerState_Name(worker.state()), " after push ",
           worker.last_sequence());
    }
  }
  for (const Playground& playground : playgrounds_) {
    if (playground.run == nullptr) continue;
    playground.model->CheckNobodyWaits();
    Fail(playground.model->fault());
  }
  for (const auto& worker : workers_) {
    const auto is_its = [&](const Playground& one) {
      return one.id == worker->run() && one.run != nullptr && one.model->moves();
    };
    const auto its = std::find_if(playgrounds_.begin(), playgrounds_.end(), is_its);
    if (its == playgrounds_.end()) continue;
    if (worker->IsOwedParameters()) {
      Fail(absl::StrCat(worker->run(), "/", worker->id(), " never gets its parameters"));
    }
    // Another run that makes no step either may have the room; see RoomRule.
    const bool others_keep_room = its->model->WaitsForWorkers() && registry_->claimed_bytes() > 0;
    if (worker->IsHeld() && !others_keep_room) {
      Fail(absl::StrCat(worker->run(), "/", worker->id(), " is held back for ever, with ",
                        registry_->claimed_bytes(), " bytes claimed"));
    }
  }
  for (const auto& worker : workers_) worker->Disconnect();
  Settle();
  RunTasks();
  registry_->Drain();
  for (Playground& playground : playgrounds_) {
    if (playground.run == nullptr) continue;
    Note(playground.id, " ended at step ", playground.model->step(), " with ",
         playground.model->TakeHash());
    playground.run = nullptr;
    registry_->Delete(absl::StrCat("runs/", playground.id)).IgnoreError();
  }
  workers_.clear();
  for (Playground& playground : playgrounds_) playground.model->ForgetRun();
  executor_->RunAll();
  for (Playground& playground : playgrounds_) {
    Fail(playground.updates->Check());
    if (playground.updates->waits()) Fail("all is over, and a change is not answered");
  }
  const int64_t staged = registry_->claimed_bytes();
  const int64_t left = registry_->budget().taken_bytes();
  if (staged != 0 || left != 0) {
    Fail(absl::StrCat("all is over, and ", left, " bytes are taken, ", staged, " for pushes"));
  }
}

}  // namespace gradd

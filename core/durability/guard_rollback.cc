#include "core/durability/guard_rollback.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/durability/checkpoint_catalog.h"
#include "core/durability/checkpoint_reader.h"
#include "core/run/run_guard.h"
#include "core/run/run_past.h"
#include "core/run/run_restore.h"

namespace gradd {

void GuardRollback::Tick(const std::shared_ptr<Checkpointer>& kept) const {
  const std::optional<GuardFacts> facts = kept->run()->TakeGuardRequest();
  if (!facts.has_value()) return;
  io_->Schedule([*this, kept, facts = *facts] { RollBack(kept, facts); });
}

void GuardRollback::RollBack(const std::shared_ptr<Checkpointer>& kept,
                             const GuardFacts& facts) const {
  const std::shared_ptr<Run> run = kept->run();
  const auto stays = [run](const std::string& why) {
    run->StayStopped(absl::StrCat("the guard cannot roll it back: ", why));
  };
  if (facts.rollbacks >= facts.most_rollbacks) {
    return stays(absl::StrCat("it has done so ", facts.rollbacks, " times, as often as it may"));
  }
  state::v1::RunState state;
  run->WriteState(&state);
  RunPast past;
  past.Read(state.past()).IgnoreError();
  const CheckpointCatalog catalog(run->run_id(), kept->checkpoints(), past);
  const v1::Checkpoint* good = nullptr;
  for (const v1::Checkpoint& checkpoint : catalog.all()) {
    // The newest of a step comes last.
    if (checkpoint.on_present_past() && checkpoint.step() < facts.bad_since_step) {
      good = &checkpoint;
    }
  }
  if (good == nullptr) {
    return stays(absl::StrCat("there is no checkpoint from before step ", facts.bad_since_step));
  }
  const RunFolder& folder = kept->log()->folder();
  auto capture =
      ReadCheckpoint(&folder.files(), folder.CheckpointPath({good->timeline(), good->step()}),
                     registry_.environment(), state.uid());
  if (!capture.ok()) {
    return stays(std::string(RunRestore::BesideThePresent(capture.status()).message()));
  }
  const auto restore = std::make_shared<RestoreRequest>();
  restore->capture = *std::move(capture);
  restore->guard = facts;
  UpdateRequest update;
  update.author = "guard";
  update.restore = restore;
  update.receive = [run, kept, stays, registry = &registry_,
                    facts](const absl::StatusOr<v1::Run>& updated) {
    if (updated.status().code() == absl::StatusCode::kAborted) return;
    if (!updated.ok()) return stays(std::string(updated.status().message()));
    LogEntry entry;
    entry.level = LogEntry::Level::kWarning;
    entry.event = "run rolled back";
    entry.fields = {{"run", run->run_id()},
                    {"because", facts.reason},
                    {"to_step", absl::StrCat(updated->progress().step())},
                    {"learning_rate", absl::StrCat(updated->schedule().learning_rate())},
                    {"rollbacks", absl::StrCat(facts.rollbacks + 1)}};
    registry->log()->Add(std::move(entry));
    kept->BeginAwaited();
  };
  run->Update(std::move(update));
}

}  // namespace gradd

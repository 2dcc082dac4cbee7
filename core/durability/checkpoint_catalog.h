#ifndef GRADD_CORE_DURABILITY_CHECKPOINT_CATALOG_H_
#define GRADD_CORE_DURABILITY_CHECKPOINT_CATALOG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/durability/checkpoint_retention.h"
#include "core/run/run_past.h"
#include "gradd/v1/checkpoint.pb.h"

namespace gradd {

// The checkpoints that a run has at one moment, as people see and name them. A plain value.
class CheckpointCatalog {
 public:
  // `kept` are in the order in which they were made; `past` is that of the run.
  CheckpointCatalog(std::string run_id, const std::vector<KeptCheckpoint>& kept,
                    const RunPast& past);

  // In the order in which they were made.
  const std::vector<v1::Checkpoint>& all() const { return all_; }
  // That of a step and a timeline; with timeline 0, the newest one of that step that the run has
  // come by. INVALID_ARGUMENT if the step is none, which `field` names; NOT_FOUND, with the reason
  // CHECKPOINT_NOT_FOUND, names those that there are.
  absl::StatusOr<v1::Checkpoint> Find(const std::string& field, int64_t step,
                                      uint64_t timeline) const;

 private:
  std::string NotFoundText(int64_t step, uint64_t timeline) const;

  std::string run_id_;
  std::vector<v1::Checkpoint> all_;
};

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_CHECKPOINT_CATALOG_H_

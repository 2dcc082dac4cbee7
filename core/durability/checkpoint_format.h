#ifndef GRADD_CORE_DURABILITY_CHECKPOINT_FORMAT_H_
#define GRADD_CORE_DURABILITY_CHECKPOINT_FORMAT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/durability/safetensors_header.h"
#include "core/store/slot.h"
#include "gradd/state/v1/run_state.pb.h"
#include "gradd/v1/layout.pb.h"

namespace gradd {

// A checkpoint is one safetensors file, so that anyone can open it. Its tensors:
//   TENSOR                     F32   the parameters, under their own names and shapes
//   optimizer/SLOT/TENSOR      F32   a slot, where the optimizer of the tensor's group has it
//   optimizer/plan/NAME        I64, F64 or F32, one dimension: a vector of PlanState
//   window/TENSOR              F32   what lies in the window; only if something does
//   optimizer/checksum         U8    [16], the last one: of the file up to here, see FileChecksum
// Its metadata, all of it text:
//   format            gradd
//   format_version    1
//   run, run_uid, timeline, step, events, time (RFC 3339, when it was captured)
//   evaluation_loss   of the newest evaluation, if there was one
//   layout            gradd.v1.Layout, base64
//   state             gradd.state.v1.RunState without its layout, base64
//   xxh3              of the others: see MetadataChecksum()
// docs/format.md says the same to people.

inline constexpr char kCheckpointFormat[] = "gradd";
inline constexpr char kCheckpointVersion[] = "1";
inline constexpr char kPlanPrefix[] = "optimizer/plan/";
inline constexpr char kChecksumTensor[] = "optimizer/checksum";

std::string SlotTensorName(absl::string_view slot, absl::string_view tensor);
std::string WindowTensorName(absl::string_view tensor);

// What a checkpoint is of.
struct CheckpointInfo {
  std::string run_id;
  std::string run_uid;
  uint64_t timeline = 0;
  int64_t step = 0;
  int64_t events = 0;                     // That are in it.
  std::optional<double> evaluation_loss;  // Of the newest evaluation in it.
  absl::Time time;                        // When it was captured.
  int64_t bytes = 0;                      // Of the file.
};

// XXH3 of all metadata but "xxh3": in the order of the keys, `KEY=LENGTH:VALUE`, one after the
// other.
std::string MetadataChecksum(const std::map<std::string, std::string>& metadata);

// The metadata of a run in that state, which has its layout.
std::map<std::string, std::string> CheckpointMetadata(const state::v1::RunState& state,
                                                      absl::Time time);

// What is said in the metadata of `path`, a file of that many bytes. FILE_INVALID if it is no
// checkpoint, of another version, or something of it was changed.
absl::StatusOr<CheckpointInfo> ParseCheckpointInfo(
    const std::string& path, const std::map<std::string, std::string>& metadata, int64_t bytes);

// The state in it, with its layout; the metadata is that of ParseCheckpointInfo(), which it has to
// agree with.
absl::StatusOr<state::v1::RunState> ParseCheckpointState(
    const std::string& path, const std::map<std::string, std::string>& metadata,
    const CheckpointInfo& info);

// The layout alone.
absl::StatusOr<v1::Layout> ParseCheckpointLayout(
    const std::string& path, const std::map<std::string, std::string>& metadata);

// Calls visit(tensor, begin) for the layout's tensors that lie in `sections`, where `begin` is the
// first element in the flat vector.
void VisitTensorsIn(const v1::Layout& layout, const std::vector<SlotVector::Section>& sections,
                    const std::function<void(const v1::Tensor& tensor, int64_t begin)>& visit);

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_CHECKPOINT_FORMAT_H_

#ifndef GRADD_CORE_DURABILITY_CHECKPOINT_READER_H_
#define GRADD_CORE_DURABILITY_CHECKPOINT_READER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "core/durability/checkpoint_format.h"
#include "core/run/run_capture.h"
#include "core/run/run_environment.h"

namespace gradd {

// Readers of checkpoints, see checkpoint_format.h. Files are from anyone: FILE_INVALID names the
// file, what in it is wrong, what was found and what was expected; FILE, FILE_NOT_FOUND: it cannot
// be read.

// What the checkpoint is of: reads the header alone, and checks that the metadata is as it was
// written. Whether its data is too is for VerifyCheckpoint(), and is checked when it is read.
absl::StatusOr<CheckpointInfo> ReadCheckpointInfo(FileSystem* files, const std::string& path);

// Reads all of it, in little memory, and checks all checksums, and that it has the tensors that a
// run in that state has.
absl::StatusOr<CheckpointInfo> VerifyCheckpoint(FileSystem* files, const std::string& path);

// Reads a run that goes on from there: in `environment`, where it is to run, see
// RunOrigin::capture. With a `run_uid`, FILE_INVALID if it is another run.
//
// Its memory is claimed before it is taken, RESOURCE_EXHAUSTED if that is not left, and it is the
// run's own: the first run that is made from the capture takes it over, so that parameters and
// slots are there once. The vectors of the plan, and the window, are claimed as scratch for as long
// as the capture is there, since the run copies them. Whoever has made the run should let go of the
// capture: the next step then writes in place.
//
// Example:
//   RunOrigin origin;
//   origin.capture = *ReadCheckpoint(files, path, registry.environment());
//   auto run = registry.Create(run_id, origin.capture->state.spec(), "", &origin);
//   origin.capture.reset();
absl::StatusOr<std::shared_ptr<const RunCapture>> ReadCheckpoint(FileSystem* files,
                                                                 const std::string& path,
                                                                 const RunEnvironment& environment,
                                                                 const std::string& run_uid = "");
// The same of a file that is open already; `name` is what messages call it.
absl::StatusOr<std::shared_ptr<const RunCapture>> ReadCheckpoint(std::string name,
                                                                 std::unique_ptr<ReadableFile> file,
                                                                 const RunEnvironment& environment);

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_CHECKPOINT_READER_H_

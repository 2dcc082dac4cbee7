#ifndef GRADD_TESTS_CORE_DURABILITY_CHECKPOINT_FILES_H_
#define GRADD_TESTS_CORE_DURABILITY_CHECKPOINT_FILES_H_

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "core/base/file_system.h"
#include "core/durability/safetensors_header.h"
#include "core/run/run_capture.h"
#include "core/run/run_environment.h"

namespace gradd {

// Writes all of it, `slice` bytes at a time.
absl::Status WriteCheckpoint(FileSystem* files, const std::string& path,
                             std::shared_ptr<const RunCapture> capture,
                             int64_t slice = int64_t{1} << 40);

// A run that goes on from `capture`, once it was written to a file and read from it.
RunOrigin ThroughAFile(std::shared_ptr<const RunCapture> capture,
                       const RunEnvironment& environment);

// A checkpoint as it would be if somebody else had written it: other tensors or metadata, with all
// checksums as they should be. `change` gets the header, and the data of each tensor by its name.
std::string Rewritten(const std::string& checkpoint,
                      const std::function<void(SafetensorsHeader* header,
                                               std::map<std::string, std::string>* data)>& change);

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_DURABILITY_CHECKPOINT_FILES_H_

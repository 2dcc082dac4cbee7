#ifndef GRADD_CORE_DURABILITY_RUN_IMPORT_H_
#define GRADD_CORE_DURABILITY_RUN_IMPORT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/memory_budget.h"
#include "core/durability/file_checksum.h"
#include "core/durability/incoming_file.h"
#include "core/durability/safetensors_reader.h"
#include "core/durability/state_directory.h"
#include "core/durability/weights_file.h"
#include "core/run/run_capture.h"
#include "core/run/run_registry.h"
#include "gradd/v1/transfer.pb.h"

namespace gradd {

// A run that is made of a file which somebody sends; see RunService.ImportRun. Errors name the file
// as its sender calls it. What has come of it goes with this, and no run is left of one that was
// not complete.
//
// Example:
//   auto import = RunImport::Begin(&registry, directory, begin);
//   GRADD_RETURN_IF_ERROR(import.status());
//   while (...) GRADD_RETURN_IF_ERROR((*import)->Add(data));
//   auto run = (*import)->Complete();  // To be told of when that is durable.
//
// Everything here takes long: memory is claimed, and the disk waited for. Not thread safe.
class RunImport {
 public:
  // Where it lies meanwhile: in `directory`, or in memory where that is null. Both outlive this.
  static absl::StatusOr<std::unique_ptr<RunImport>> Begin(RunRegistry* registry,
                                                          const StateDirectory* directory,
                                                          const v1::ImportBegin& begin);

  // The run, if the same request has created it before: then the file is not needed. Else null.
  const std::shared_ptr<Run>& existing() const { return existing_; }

  // The next bytes of the file. As soon as its header is there, that is checked, and what is to be
  // made of it.
  absl::Status Add(absl::string_view data);
  // All of it was sent: creates the run, on the registry's pool.
  absl::StatusOr<std::shared_ptr<Run>> Complete();

 private:
  RunImport(RunRegistry* registry, const v1::ImportBegin& begin);

  // Reads the header, once it has come.
  absl::Status ReadHeaderIfThere();
  absl::Status ReadHeader(int64_t header_bytes);
  // The run's spec, with its layout.
  absl::Status ReadSpec();
  absl::Status Claim(int64_t bytes);
  absl::Status CheckChecksum();
  // The checkpoint as it is, for a run that goes on from it.
  absl::StatusOr<std::shared_ptr<const RunCapture>> ReadState();

  RunRegistry& registry_;
  v1::ImportBegin begin_;
  std::string name_;  // Of the file.
  bool keeps_ = false;
  std::shared_ptr<Run> existing_;
  std::unique_ptr<IncomingFile> file_;
  FileChecksum checksum_;                            // Of all but the last bytes,
  std::string last_;                                 // which are these.
  std::shared_ptr<MemoryBudget::Claim> claim_;       // For the header and what it says.
  std::shared_ptr<const SafetensorsReader> reader_;  // Null: the header is not there yet.
  std::unique_ptr<WeightsFile> weights_;
};

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_RUN_IMPORT_H_

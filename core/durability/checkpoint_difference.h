#ifndef GRADD_CORE_DURABILITY_CHECKPOINT_DIFFERENCE_H_
#define GRADD_CORE_DURABILITY_CHECKPOINT_DIFFERENCE_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "gradd/v1/checkpoint.pb.h"
#include "gradd/v1/layout.pb.h"

namespace gradd {

// How far the parameters in two checkpoints of a run with that layout are apart; see
// DiffRunResponse, of which `first` and `second` stay unset. It reads the files in little memory,
// and sums in double, by position. What is in their slots does not matter, nor whether their
// checksums are right.
//
// FILE_INVALID names the file and the tensor that is missing in it or of another shape; CANCELLED
// as soon as `cancelled` says so. Takes long.
absl::StatusOr<v1::DiffRunResponse> DiffCheckpoints(FileSystem* files, const std::string& path,
                                                    const std::string& other_path,
                                                    const v1::Layout& layout,
                                                    const std::function<bool()>& cancelled);

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_CHECKPOINT_DIFFERENCE_H_

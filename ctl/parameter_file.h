#ifndef GRADD_CTL_PARAMETER_FILE_H_
#define GRADD_CTL_PARAMETER_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gradd/v1/run.pb.h"

namespace gradd::ctl {

// How a file of parameters is written.
enum class ParameterFormat {
  kFloat32,      // `.f32`: nothing but the flat vector, little-endian float32.
  kSafetensors,  // `.safetensors`: 8 bytes with the header's length, little-endian, a JSON header,
                 // the flat vector. Tensors under their names, run and step in `__metadata__`.
};

// As the name of the file says.
absl::StatusOr<ParameterFormat> FormatOf(absl::string_view path);

// The part of a safetensors file before the data; its length is a multiple of 8, so that the data
// is aligned.
absl::StatusOr<std::string> SafetensorsHeader(const v1::Run& run, int64_t step);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_PARAMETER_FILE_H_

#ifndef GRADD_CTL_CHECKPOINT_FILTER_H_
#define GRADD_CTL_CHECKPOINT_FILTER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/base/new_file.h"
#include "core/durability/safetensors_header.h"
#include "gradd/v1/layout.pb.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd::ctl {

// Writes parameters to a safetensors file, in F32, BF16 or F16: first the header, then float32
// numbers as they come.
class ParameterWriter {
 public:
  // `encoding` is FLOAT32, BFLOAT16 or FLOAT16.
  ParameterWriter(v1::Encoding encoding, NewFile* file) : encoding_(encoding), file_(file) {}

  absl::Status WriteHeader(std::vector<SafetensorsTensor> tensors,
                           std::map<std::string, std::string> metadata);
  // The next bytes of the tensors, one after the other, little-endian: cut anywhere.
  absl::Status Write(absl::string_view bytes);

  const SafetensorsType* type() const;
  // Numbers that FLOAT16 has not the range for.
  int64_t out_of_range() const { return out_of_range_; }

 private:
  absl::Status WriteFloats(absl::string_view bytes);

  const v1::Encoding encoding_;
  NewFile* const file_;
  std::string rest_;  // Of a number that is cut.
  std::vector<float> floats_;
  std::vector<std::byte> encoded_;
  int64_t out_of_range_ = 0;
};

// Keeps of a checkpoint, which comes in piece by piece, nothing but the parameters.
class CheckpointFilter {
 public:
  // `name` is what messages call the checkpoint, of `bytes` bytes.
  CheckpointFilter(std::string name, int64_t bytes, v1::Encoding encoding, NewFile* file)
      : name_(std::move(name)), bytes_(bytes), writer_(encoding, file) {}

  // The next bytes of the checkpoint.
  absl::Status Write(absl::string_view bytes);
  int64_t out_of_range() const { return writer_.out_of_range(); }

 private:
  // Takes from `bytes` what belongs to the header.
  absl::Status ReadHeader(absl::string_view* bytes);
  absl::Status ParseHeader();

  const std::string name_;
  const int64_t bytes_;
  ParameterWriter writer_;
  std::string beginning_;  // Length and header, as far as they are there.
  bool parsed_ = false;
  std::vector<SafetensorsTensor> tensors_;
  size_t next_ = 0;  // The tensor that comes next, or of which a part has come.
  int64_t at_ = 0;   // In the data.
};

}  // namespace gradd::ctl

#endif  // GRADD_CTL_CHECKPOINT_FILTER_H_

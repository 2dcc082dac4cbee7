#ifndef GRADD_CORE_DURABILITY_WEIGHTS_FILE_H_
#define GRADD_CORE_DURABILITY_WEIGHTS_FILE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "core/durability/durable_file.h"
#include "core/durability/safetensors_reader.h"
#include "core/store/initial_values.h"
#include "core/store/layout.h"
#include "core/store/snapshot.h"

namespace gradd {

// Parameters of a run, read from any safetensors file: each tensor of the layout from that of its
// name, in F32, F16 or BF16. In a checkpoint, what is no parameter is passed over.
//
// Example:
//   auto weights = WeightsFile::Open(files, "model.safetensors", layout);
//   GRADD_RETURN_IF_ERROR(weights.status());
//   std::vector<float> parameters(layout.element_count());
//   GRADD_RETURN_IF_ERROR((*weights)->Fill(0, layout.element_count(), parameters.data()));
//
// Thread safe.
class WeightsFile final : public InitialValues {
 public:
  // Reads the header. FILE_INVALID says in one message all that is wrong, up to 10 tensors: those
  // of the layout that are missing, or of another shape or type, and those that the layout has not.
  static absl::StatusOr<std::unique_ptr<WeightsFile>> Open(FileSystem* files,
                                                           const std::string& path,
                                                           const Layout& layout);
  // The same of a file whose header was read already.
  static absl::StatusOr<std::unique_ptr<WeightsFile>> Of(
      std::shared_ptr<const SafetensorsReader> reader, const Layout& layout);

  // FILE_INVALID, with the tensor's name, if an element is not finite.
  absl::Status Fill(int64_t begin, int64_t size, float* values) const override;

 private:
  struct Place {
    int64_t begin;  // In the flat vector.
    const SafetensorsTensor* tensor;
  };

  explicit WeightsFile(std::shared_ptr<const SafetensorsReader> reader)
      : reader_(std::move(reader)) {}

  const std::shared_ptr<const SafetensorsReader> reader_;
  std::vector<Place> places_;  // In the layout's order.
};

// The layout that a file of weights stands for: its tensors in the order of their data; of a
// checkpoint, the run's own, with its initializers. FILE_INVALID names, up to 10, the tensors that
// are not of F32, F16 or BF16.
absl::StatusOr<v1::Layout> LayoutOfWeights(const SafetensorsReader& reader);
// Whether it is a checkpoint of gradd.
bool IsCheckpoint(const SafetensorsReader& reader);

// The other way round: writes the parameters of a run into a safetensors file, under their own
// names, in slices. It lets go of each block as soon as that is written, unless somebody else holds
// the snapshot too. Not thread safe.
class WeightsWriter {
 public:
  struct Options {
    // What elements become: FLOAT32, as they are, BFLOAT16 or FLOAT16. See core/codec for how they
    // are rounded, and for what becomes of those that are out of FLOAT16's range.
    v1::Encoding encoding = v1::ENCODING_FLOAT32;
    std::map<std::string, std::string> metadata = {};  // UTF-8.
    int64_t sync_bytes = int64_t{32} << 20;            // See DurableFile.
  };

  // `snapshot` has float32 blocks that are final, as StepEngine::TakeSnapshot() gives them.
  // INVALID_ARGUMENT: another encoding, or metadata that is no UTF-8.
  static absl::StatusOr<std::unique_ptr<WeightsWriter>> Begin(
      FileSystem* files, std::string path, std::shared_ptr<const Snapshot> snapshot,
      const Layout& layout, const Options& options);

  // Writes up to `max_bytes` >= 1 of the data, or one block if that is more; true: the file is
  // complete, durable and under its name. An error is the end, see CheckpointWriter.
  absl::StatusOr<bool> WriteSome(int64_t max_bytes);

  // Elements so far that FLOAT16 has not the range for: it has +-65,504 for them.
  int64_t out_of_range() const { return out_of_range_; }

 private:
  WeightsWriter() = default;
  absl::Status WriteBlock();

  v1::Encoding encoding_ = v1::ENCODING_FLOAT32;
  std::unique_ptr<DurableFile> file_;
  BlockVector blocks_;
  size_t next_ = 0;  // The first block that is not written.
  std::vector<std::byte> encoded_;
  int64_t out_of_range_ = 0;
  bool done_ = false;
  absl::Status status_;
};

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_WEIGHTS_FILE_H_

#ifndef GRADD_WORKER_DATA_IDX_H_
#define GRADD_WORKER_DATA_IDX_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/data/dataset.h"

namespace gradd {

// The IDX format of MNIST and its successors, plain or gzip: two zero bytes, one that
// says unsigned bytes (0x08), one with the number of dimensions, each dimension as a
// big-endian 32-bit number, then the bytes.
struct IdxArray {
  std::vector<int64_t> shape;
  std::vector<uint8_t> bytes;
};

// Reads an array of `dimensions` dimensions. INVALID_ARGUMENT for another kind of file,
// an empty array or one of more than `max_bytes`; DATA_LOSS where bytes are missing or
// too many. Reads the header before it believes it.
absl::StatusOr<IdxArray> ReadIdx(const std::string& path, int dimensions,
                                 int64_t max_bytes = int64_t{1} << 33);

// Images (count x rows x columns) with their labels. With `classes` 0 the greatest label
// says how many there are; otherwise a label beyond is an error.
absl::StatusOr<Dataset> ReadIdxImages(const std::string& images_path,
                                      const std::string& labels_path, int64_t classes);

}  // namespace gradd

#endif  // GRADD_WORKER_DATA_IDX_H_

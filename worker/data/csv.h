#ifndef GRADD_WORKER_DATA_CSV_H_
#define GRADD_WORKER_DATA_CSV_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "worker/data/dataset.h"

namespace gradd {

// How a table of numbers is read.
struct CsvOptions {
  enum class Header {
    kAuto,  // The first line is one if none of its fields is a number.
    kYes,
    kNo,
  };
  Header header = Header::kAuto;
  // Name in the header, or number counted from 0, of the column to predict. Empty: the
  // last one.
  std::string label_column;
  // True: the column to predict holds numbers; false: classes 0, 1, 2, ...
  bool regression = false;
  // Number of classes. 0: one more than the greatest label.
  int64_t classes = 0;
};

// Reads a file of comma-separated numbers, plain or gzip, at least two columns and one
// line; blank lines and a byte order mark are skipped. All columns but the one to predict are
// features, in order. Errors name file, line and column: a field that is no finite number, a line
// with another number of fields, a label that is no class.
absl::StatusOr<Dataset> ReadCsv(const std::string& path, const CsvOptions& options);

}  // namespace gradd

#endif  // GRADD_WORKER_DATA_CSV_H_

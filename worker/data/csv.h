#ifndef GRADD_WORKER_DATA_CSV_H_
#define GRADD_WORKER_DATA_CSV_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/data/dataset.h"

namespace gradd {

// What a file's first line says of its columns.
struct CsvColumns {
  std::string path;                // Of the file.
  std::vector<std::string> names;  // Empty: it has no header.
  size_t label = 0;                // Which one is to be predicted.
};

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
  // Columns of another file. Where both have a header, the columns are matched by name, and those
  // of the result have the order of that file; without a header they are taken to be in the same
  // order.
  const CsvColumns* as = nullptr;
};

// Reads a file of comma-separated numbers, plain or gzip, at least two columns and one
// line; blank lines and a byte order mark are skipped. A field may stand in quotation marks, on one
// line. All columns but the one to predict are
// features, in order. Errors name file, line and column: a field that is no finite number, a line
// with another number of fields, a label that is no class, a column that `as` does not have.
// `columns` gets those of the file, unless it is null.
absl::StatusOr<Dataset> ReadCsv(const std::string& path, const CsvOptions& options,
                                CsvColumns* columns = nullptr);

}  // namespace gradd

#endif  // GRADD_WORKER_DATA_CSV_H_

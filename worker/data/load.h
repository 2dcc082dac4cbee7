#ifndef GRADD_WORKER_DATA_LOAD_H_
#define GRADD_WORKER_DATA_LOAD_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "worker/data/csv.h"
#include "worker/data/synthetic.h"

namespace gradd {

// Where a worker's examples come from.
enum class DataKind { kIdx, kFashionMnist, kCsv, kSynthetic, kGradientNoise };

// What to load; only the fields of its kind are read.
struct DataOptions {
  DataKind kind = DataKind::kFashionMnist;

  // kIdx. The test files are given both or not at all.
  std::string train_images;
  std::string train_labels;
  std::string test_images;
  std::string test_labels;

  // kFashionMnist: the directory of the four files, plain or .gz, as Debian's package
  // dataset-fashion-mnist installs them.
  std::string data_dir = "/usr/share/datasets/fashion-mnist";

  // kCsv. No test file: no evaluation.
  std::string train_csv;
  std::string test_csv;
  CsvOptions::Header csv_header = CsvOptions::Header::kAuto;
  std::string label_column;

  // kSynthetic; `classes`, `seed` and whether it is regression come from below.
  SyntheticOptions synthetic;

  // kGradientNoise: its deviation.
  float gradient_noise = 0;

  // Predict a number instead of a class.
  bool regression = false;
  // 0: as many as the training labels show; 10 for kSynthetic.
  int64_t classes = 0;
  uint64_t seed = 0;
  // Of the features, by the training set's moments. Unset: global for images, per feature
  // for CSV, none for synthetic data and noise.
  std::optional<Standardization> standardization;
};

// Loads and scales both sets. The test set, if there is one, fits the training set:
// as many features, no further classes.
absl::StatusOr<TrainAndTest> LoadData(const DataOptions& options);

}  // namespace gradd

#endif  // GRADD_WORKER_DATA_LOAD_H_

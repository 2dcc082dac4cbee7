#include "worker/data/load.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "worker/data/gradient_noise.h"
#include "worker/data/idx.h"

namespace gradd {
namespace {

constexpr int64_t kSyntheticClasses = 10;

absl::StatusOr<TrainAndTest> LoadIdx(const DataOptions& options) {
  if (options.train_images.empty() || options.train_labels.empty()) {
    return absl::InvalidArgumentError("data idx: training images and labels are required");
  }
  if (options.test_images.empty() != options.test_labels.empty()) {
    return absl::InvalidArgumentError(
        "data idx: only one of test images and labels was given, both or none expected");
  }
  TrainAndTest data;
  absl::StatusOr<Dataset> train =
      ReadIdxImages(options.train_images, options.train_labels, options.classes);
  if (!train.ok()) return train.status();
  data.train = *std::move(train);
  if (options.test_images.empty()) return data;
  absl::StatusOr<Dataset> test =
      ReadIdxImages(options.test_images, options.test_labels, data.train.classes());
  if (!test.ok()) return test.status();
  data.test = *std::move(test);
  if (data.test.features() != data.train.features()) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.test_images, ": images of ", data.test.features(), " pixels found, ",
                     data.train.features(), " expected as in ", options.train_images));
  }
  return data;
}

absl::StatusOr<TrainAndTest> LoadFashionMnist(DataOptions options) {
  const auto file = [&](const char* name) {
    const std::string path = absl::StrCat(options.data_dir, "/", name);
    std::error_code ignored;
    return std::filesystem::exists(path, ignored) ? path : path + ".gz";
  };
  options.train_images = file("train-images-idx3-ubyte");
  options.train_labels = file("train-labels-idx1-ubyte");
  options.test_images = file("t10k-images-idx3-ubyte");
  options.test_labels = file("t10k-labels-idx1-ubyte");
  absl::StatusOr<TrainAndTest> data = LoadIdx(options);
  if (data.status().code() == absl::StatusCode::kNotFound) {
    return absl::NotFoundError(absl::StrCat(
        data.status().message(), " (Debian's package dataset-fashion-mnist has the files)"));
  }
  return data;
}

absl::StatusOr<TrainAndTest> LoadCsv(const DataOptions& options) {
  if (options.train_csv.empty()) {
    return absl::InvalidArgumentError("data csv: a training file is required");
  }
  CsvOptions csv;
  csv.header = options.csv_header;
  csv.label_column = options.label_column;
  csv.regression = options.regression;
  csv.classes = options.classes;
  TrainAndTest data;
  CsvColumns columns;
  absl::StatusOr<Dataset> train = ReadCsv(options.train_csv, csv, &columns);
  if (!train.ok()) return train.status();
  data.train = *std::move(train);
  if (options.test_csv.empty()) return data;
  csv.classes = data.train.classes();
  csv.as = &columns;
  absl::StatusOr<Dataset> test = ReadCsv(options.test_csv, csv);
  if (!test.ok()) return test.status();
  data.test = *std::move(test);
  if (data.test.features() != data.train.features()) {
    return absl::InvalidArgumentError(absl::StrCat(options.test_csv, ": ", data.test.features(),
                                                   " features found, ", data.train.features(),
                                                   " expected as in ", options.train_csv));
  }
  return data;
}

absl::StatusOr<TrainAndTest> LoadUnscaled(const DataOptions& options) {
  switch (options.kind) {
    case DataKind::kIdx:
      return LoadIdx(options);
    case DataKind::kFashionMnist:
      return LoadFashionMnist(options);
    case DataKind::kCsv:
      return LoadCsv(options);
    case DataKind::kGradientNoise:
      return MakeGradientNoise(options.gradient_noise, options.seed);
    case DataKind::kSynthetic:
      break;
  }
  SyntheticOptions synthetic = options.synthetic;
  synthetic.seed = options.seed;
  synthetic.classes = options.regression     ? 0
                      : options.classes == 0 ? kSyntheticClasses
                                             : options.classes;
  return MakeSynthetic(synthetic);
}

Standardization DefaultStandardization(DataKind kind) {
  switch (kind) {
    case DataKind::kIdx:
    case DataKind::kFashionMnist:
      return Standardization::kGlobal;
    case DataKind::kCsv:
      return Standardization::kFeature;
    case DataKind::kSynthetic:
    case DataKind::kGradientNoise:
      break;
  }
  return Standardization::kNone;
}

}  // namespace

absl::StatusOr<TrainAndTest> LoadData(const DataOptions& options) {
  if (options.classes < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("classes: ", options.classes, ", at least 0 expected"));
  }
  absl::StatusOr<TrainAndTest> data = LoadUnscaled(options);
  if (!data.ok()) return data;
  const FeatureScaling scaling = data->train.ScalingFor(
      options.standardization.value_or(DefaultStandardization(options.kind)));
  data->train.set_scaling(scaling);
  data->test.set_scaling(scaling);
  return data;
}

}  // namespace gradd

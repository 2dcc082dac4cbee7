#include "core/durability/checkpoint_difference.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "core/durability/safetensors_reader.h"
#include "core/store/layout.h"

namespace gradd {
namespace {

// Elements that are in memory of each file.
constexpr int64_t kPieceElements = int64_t{64} << 10;
constexpr size_t kMostTensors = 1000;

// Sums of squares.
struct SquareSums {
  double first = 0;
  double difference = 0;
};

absl::StatusOr<const SafetensorsTensor*> FindTensor(const SafetensorsReader& reader,
                                                    const v1::Tensor& tensor) {
  const SafetensorsTensor* const found = reader.Find(tensor.name());
  if (found == nullptr) {
    return FileInvalid(reader.path(), absl::StrCat("tensor ", Quoted(tensor.name()), ": missing"));
  }
  if (found->elements() == ElementCount(tensor)) return found;
  return FileInvalid(reader.path(),
                     absl::StrCat("tensor ", Quoted(tensor.name()), " has ", found->elements(),
                                  " elements, ", ElementCount(tensor), " expected"));
}

absl::StatusOr<SquareSums> SumTensor(const SafetensorsReader& first,
                                     const SafetensorsReader& second, const v1::Tensor& tensor,
                                     const std::function<bool()>& cancelled,
                                     std::vector<float>* values) {
  const auto in_first = FindTensor(first, tensor);
  GRADD_RETURN_IF_ERROR(in_first.status());
  const auto in_second = FindTensor(second, tensor);
  GRADD_RETURN_IF_ERROR(in_second.status());
  const int64_t elements = ElementCount(tensor);
  float* const a = values->data();
  float* const b = a + kPieceElements;
  SquareSums sums;
  for (int64_t begin = 0; begin < elements; begin += kPieceElements) {
    if (cancelled()) return absl::CancelledError("the caller is gone");
    const int64_t size = std::min(kPieceElements, elements - begin);
    GRADD_RETURN_IF_ERROR(first.ReadFloats(**in_first, begin, size, a));
    GRADD_RETURN_IF_ERROR(second.ReadFloats(**in_second, begin, size, b));
    for (int64_t i = 0; i < size; ++i) {
      const double value = a[i];
      const double difference = static_cast<double>(b[i]) - value;
      sums.first += value * value;
      sums.difference += difference * difference;
    }
  }
  return sums;
}

v1::TensorDifference DescribeDifference(const std::string& tensor, int64_t elements,
                                        const SquareSums& sums) {
  v1::TensorDifference described;
  described.set_tensor(tensor);
  described.set_elements(elements);
  described.set_norm(std::sqrt(sums.first));
  described.set_difference(std::sqrt(sums.difference));
  if (sums.difference == 0) {
    described.set_relative(0);
  } else if (sums.first > 0) {
    described.set_relative(described.difference() / described.norm());
  }
  return described;
}

// For the order: what has no number is most of all.
double RelativeChange(const v1::TensorDifference& difference) {
  const bool is_number = difference.has_relative() && !std::isnan(difference.relative());
  return is_number ? difference.relative() : std::numeric_limits<double>::infinity();
}

}  // namespace

absl::StatusOr<v1::DiffRunResponse> DiffCheckpoints(FileSystem* files, const std::string& path,
                                                    const std::string& other_path,
                                                    const v1::Layout& layout,
                                                    const std::function<bool()>& cancelled) {
  const auto first = SafetensorsReader::Open(files, path);
  GRADD_RETURN_IF_ERROR(first.status());
  const auto second = SafetensorsReader::Open(files, other_path);
  GRADD_RETURN_IF_ERROR(second.status());
  std::vector<float> values(2 * kPieceElements);
  std::vector<v1::TensorDifference> tensors;
  SquareSums total;
  int64_t elements = 0;
  for (const v1::Tensor& tensor : layout.tensors()) {
    const auto sums = SumTensor(**first, **second, tensor, cancelled, &values);
    GRADD_RETURN_IF_ERROR(sums.status());
    tensors.push_back(DescribeDifference(tensor.name(), ElementCount(tensor), *sums));
    total.first += sums->first;
    total.difference += sums->difference;
    elements += ElementCount(tensor);
  }
  std::stable_sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    return RelativeChange(a) > RelativeChange(b);
  });
  v1::DiffRunResponse response;
  *response.mutable_total() = DescribeDifference("", elements, total);
  response.set_tensor_count(static_cast<int64_t>(tensors.size()));
  tensors.resize(std::min(tensors.size(), kMostTensors));
  for (v1::TensorDifference& tensor : tensors) *response.add_tensors() = std::move(tensor);
  return response;
}

}  // namespace gradd

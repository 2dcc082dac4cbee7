#include "core/store/layout.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "core/store/initial_distribution.h"

namespace gradd {
namespace {

constexpr int kMaxTensors = 100'000;
constexpr size_t kMaxBytes = size_t{1} << 20;
constexpr size_t kMaxNameBytes = 256;
constexpr int kMaxDimensions = 16;

absl::Status LayoutError(absl::string_view message) {
  return Error(absl::StatusCode::kInvalidArgument, "LAYOUT_INVALID", message);
}

std::string ShapeText(const v1::Tensor& tensor) {
  return absl::StrCat("[", absl::StrJoin(tensor.shape(), ", "), "]");
}

// In a checkpoint, which is a safetensors file, these are for what is no parameter.
constexpr absl::string_view kReservedPrefixes[] = {"optimizer/", "window/"};
constexpr absl::string_view kReservedName = "__metadata__";

absl::Status CheckTensor(int index, const v1::Tensor& tensor) {
  const std::string where = absl::StrCat("layout.tensors[", index, "] ", Quoted(tensor.name()));
  const auto printable = [](char c) { return c > ' ' && c < 0x7f; };
  if (tensor.name().empty() || tensor.name().size() > kMaxNameBytes ||
      !std::all_of(tensor.name().begin(), tensor.name().end(), printable)) {
    return LayoutError(
        absl::StrCat(where, ": a name is 1 to 256 bytes of printable ASCII without spaces"));
  }
  if (IsReservedTensorName(tensor.name())) {
    return LayoutError(
        absl::StrCat(where,
                     ": checkpoints, in the safetensors format, keep `__metadata__` and the names "
                     "that begin with `optimizer/` or `window/` for their own"));
  }
  if (tensor.shape_size() > kMaxDimensions) {
    return LayoutError(absl::StrCat(where, ".shape: ", tensor.shape_size(), " dimensions, at most ",
                                    kMaxDimensions, " expected"));
  }
  for (const int64_t dimension : tensor.shape()) {
    if (dimension < 1) {
      return LayoutError(absl::StrCat(where, ".shape: ", ShapeText(tensor), " has a dimension of ",
                                      dimension, ", at least 1 expected"));
    }
  }
  return CheckInitializer(where, tensor);
}

}  // namespace

bool IsReservedTensorName(absl::string_view name) {
  return name == kReservedName ||
         std::any_of(std::begin(kReservedPrefixes), std::end(kReservedPrefixes),
                     [name](absl::string_view prefix) { return absl::StartsWith(name, prefix); });
}

int64_t ElementCount(const v1::Tensor& tensor) {
  constexpr int64_t kLimit = int64_t{1} << 62;
  int64_t count = 1;
  for (const int64_t dimension : tensor.shape()) {
    if (dimension < 1 || dimension > kLimit / count) return -1;
    count *= dimension;
  }
  return count;
}

absl::StatusOr<Layout> Layout::Create(const v1::Layout& message, int64_t max_elements) {
  if (message.tensors().empty()) {
    return LayoutError("layout.tensors: empty, at least one tensor expected");
  }
  if (message.tensors_size() > kMaxTensors) {
    return LayoutError(absl::StrCat("layout.tensors: ", message.tensors_size(),
                                    " tensors, at most ", kMaxTensors, " expected"));
  }
  if (message.ByteSizeLong() > kMaxBytes) {
    return LayoutError(absl::StrCat("layout: ", message.ByteSizeLong(),
                                    " bytes as a message, at most ", kMaxBytes,
                                    " expected, so that it fits those that describe a run"));
  }
  Layout layout;
  absl::flat_hash_set<absl::string_view> names;
  for (int i = 0; i < message.tensors_size(); ++i) {
    const v1::Tensor& tensor = message.tensors(i);
    GRADD_RETURN_IF_ERROR(CheckTensor(i, tensor));
    if (!names.insert(tensor.name()).second) {
      return LayoutError(absl::StrCat("layout.tensors[", i, "]: the name ", Quoted(tensor.name()),
                                      " is already taken"));
    }
    const int64_t count = ElementCount(tensor);
    if (count < 0 || count > max_elements - layout.element_count_) {
      return Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_PARAMETERS",
                   absl::StrCat("layout.tensors[", i, "] ", Quoted(tensor.name()), " of shape ",
                                ShapeText(tensor), " takes the run over the limit of ",
                                max_elements, " parameters"));
    }
    layout.begins_.push_back(layout.element_count_);
    layout.element_count_ += count;
  }
  layout.message_ = message;
  return layout;
}

Layout::Place Layout::TensorAt(int64_t element) const {
  const auto next = std::upper_bound(begins_.begin(), begins_.end(), element);
  const auto index = static_cast<int>(next - begins_.begin()) - 1;
  const v1::Tensor& tensor = message_.tensors(index);
  const int64_t begin = *std::prev(next);
  const int64_t end = next == begins_.end() ? element_count_ : *next;
  return {begin, end, (end - begin) / (tensor.shape().empty() ? 1 : tensor.shape(0))};
}

absl::Status Layout::CheckSame(const v1::Layout& other) const {
  const auto differs = [](absl::string_view message) {
    return Error(absl::StatusCode::kInvalidArgument, "LAYOUT_DIFFERS",
                 absl::StrCat("join.layout: ", message));
  };
  const int common = std::min(message_.tensors_size(), other.tensors_size());
  for (int i = 0; i < common; ++i) {
    const v1::Tensor& mine = message_.tensors(i);
    const v1::Tensor& theirs = other.tensors(i);
    if (mine.name() != theirs.name()) {
      return differs(absl::StrCat("tensor ", i, " is ", Quoted(theirs.name()), ", the run has ",
                                  Quoted(mine.name())));
    }
    if (!std::equal(mine.shape().begin(), mine.shape().end(), theirs.shape().begin(),
                    theirs.shape().end())) {
      return differs(absl::StrCat("tensor ", i, " ", Quoted(mine.name()), " has shape ",
                                  ShapeText(theirs), ", the run has ", ShapeText(mine)));
    }
  }
  if (other.tensors_size() > common) {
    return differs(absl::StrCat("tensor ", common, " ", Quoted(other.tensors(common).name()),
                                " is not in the run, which has ", common, " tensors"));
  }
  if (message_.tensors_size() > common) {
    return differs(absl::StrCat("tensor ", common, " ", Quoted(message_.tensors(common).name()),
                                " of the run is missing, ", common, " tensors were given"));
  }
  return absl::OkStatus();
}

}  // namespace gradd

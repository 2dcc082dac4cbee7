#include "ctl/parameter_file.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/utf8.h"
#include "ctl/status.h"
#include "nlohmann/json.hpp"

namespace gradd::ctl {
namespace {

constexpr char kMetadata[] = "__metadata__";
constexpr size_t kAlignment = 8;

}  // namespace

absl::StatusOr<ParameterFormat> FormatOf(absl::string_view path) {
  if (absl::EndsWith(path, ".f32")) return ParameterFormat::kFloat32;
  if (absl::EndsWith(path, ".safetensors")) return ParameterFormat::kSafetensors;
  return UsageError(
      absl::StrCat("--output: ", Quoted(path), " ends neither with .safetensors nor with .f32"));
}

absl::StatusOr<std::string> SafetensorsHeader(const v1::Run& run, int64_t step) {
  nlohmann::ordered_json header;
  header[kMetadata] = {{"run", run.name()}, {"step", absl::StrCat(step)}};
  int64_t offset = 0;
  for (const v1::Tensor& tensor : run.layout().tensors()) {
    if (tensor.name() == kMetadata) {
      return FileError(
          absl::StrCat("a tensor named ", kMetadata, " cannot be put into a safetensors file"));
    }
    int64_t bytes = sizeof(float);
    nlohmann::json shape = nlohmann::json::array();
    for (const int64_t dimension : tensor.shape()) {
      bytes *= dimension;
      shape.push_back(dimension);
    }
    header[tensor.name()] = {
        {"dtype", "F32"}, {"shape", shape}, {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string text = header.dump();
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
  std::string length(sizeof(uint64_t), '\0');
  for (size_t i = 0; i < length.size(); ++i) {
    length[i] = static_cast<char>((text.size() >> (8 * i)) & 0xff);
  }
  return length + text;
}

}  // namespace gradd::ctl

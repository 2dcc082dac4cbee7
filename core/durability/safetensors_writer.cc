#include "core/durability/safetensors_writer.h"

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/error.h"

namespace gradd {

absl::StatusOr<SafetensorsWriter> SafetensorsWriter::Begin(SafetensorsHeader* header,
                                                           WritableFile* file) {
  const absl::StatusOr<std::string> text = FormatSafetensorsHeader(header);
  GRADD_RETURN_IF_ERROR(text.status());
  GRADD_RETURN_IF_ERROR(file->Append({*text}));
  return SafetensorsWriter(file, header->tensors.empty() ? 0 : header->tensors.back().end);
}

absl::Status SafetensorsWriter::Append(absl::string_view data) {
  const auto size = static_cast<int64_t>(data.size());
  GRADD_DCHECK(size <= bytes_left_, absl::StrCat(size, " bytes, ", bytes_left_, " are left"));
  GRADD_RETURN_IF_ERROR(file_->Append({data}));
  bytes_left_ -= size;
  return absl::OkStatus();
}

}  // namespace gradd

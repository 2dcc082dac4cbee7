#include "client/push_encoding.h"

#include "absl/strings/str_cat.h"

namespace gradd {

absl::Status ValidatePushEncoding(const PushEncoding& encoding) {
  if (encoding.fraction > 0 && encoding.fraction <= 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("push_encoding.fraction: ", encoding.fraction, " is outside (0, 1]"));
}

v1::Encoding WireEncoding(PushEncoding::Kind kind) {
  switch (kind) {
    case PushEncoding::Kind::kFloat32:
      return v1::ENCODING_FLOAT32;
    case PushEncoding::Kind::kBfloat16:
      return v1::ENCODING_BFLOAT16;
    case PushEncoding::Kind::kFloat16:
      return v1::ENCODING_FLOAT16;
    case PushEncoding::Kind::kInt8:
      return v1::ENCODING_INT8;
    case PushEncoding::Kind::kTopK:
    case PushEncoding::Kind::kRandomK:
      return v1::ENCODING_SPARSE;
    case PushEncoding::Kind::kRows:
      return v1::ENCODING_ROWS;
  }
  return v1::ENCODING_UNSPECIFIED;
}

}  // namespace gradd

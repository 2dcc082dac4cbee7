#include "core/run/parameter_encoding.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/codec/dense.h"

namespace gradd {

absl::StatusOr<v1::Encoding> ParameterEncodingFor(const v1::Join& join) {
  if (join.parameter_encodings().empty()) return v1::ENCODING_FLOAT32;
  for (const int wanted : join.parameter_encodings()) {
    const v1::Encoding encoding = EncodingOf(static_cast<v1::Encoding>(wanted));
    if (DenseElementBytes(encoding) > 0) return encoding;
  }
  const int first = join.parameter_encodings(0);
  const std::string others =
      join.parameter_encodings_size() > 1
          ? absl::StrCat(" and ", join.parameter_encodings_size() - 1, " more")
          : std::string();
  return Error(absl::StatusCode::kInvalidArgument, "ENCODING_UNSUPPORTED",
               absl::StrCat("parameter_encodings: ",
                            v1::Encoding_Name(static_cast<v1::Encoding>(first)), " (", first, ")",
                            others, ", expected at least one of FLOAT32, BFLOAT16 and FLOAT16"));
}

}  // namespace gradd

#include "core/run/run_labels.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/base/utf8.h"

namespace gradd {
namespace {

constexpr size_t kMostLabels = 32;
constexpr size_t kMaxLabelKeyBytes = 63;
constexpr size_t kMaxLabelValueBytes = 128;

absl::Status InvalidLabel(absl::string_view message) {
  return InvalidArgument("LABEL_INVALID", absl::StrCat("labels: ", message));
}

bool IsKey(absl::string_view key) {
  const auto allowed = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return absl::ascii_islower(byte) || absl::ascii_isdigit(byte) || c == '-' || c == '_' ||
           c == '.' || c == '/';
  };
  return !key.empty() && key.size() <= kMaxLabelKeyBytes &&
         absl::ascii_islower(static_cast<unsigned char>(key.front())) &&
         std::all_of(key.begin(), key.end(), allowed);
}

}  // namespace

absl::Status ValidateLabels(const RunLabels& labels) {
  if (labels.size() > kMostLabels) {
    return InvalidLabel(
        absl::StrCat(labels.size(), " of them, at most ", kMostLabels, " expected"));
  }
  for (const auto& [key, value] : labels) {
    if (!IsKey(key)) {
      return InvalidLabel(absl::StrCat("key ", Quoted(key), " is not 1 to ", kMaxLabelKeyBytes,
                                       " characters of [a-z0-9._/-] that start with a letter"));
    }
    if (value.size() > kMaxLabelValueBytes) {
      return InvalidLabel(absl::StrCat("the value of ", key, " has ", value.size(),
                                       " bytes, at most ", kMaxLabelValueBytes, " expected"));
    }
    if (!IsPrintableUtf8(value)) {
      return InvalidLabel(absl::StrCat("the value of ", key, ", ", Quoted(value),
                                       ", is not UTF-8 of characters that are seen"));
    }
  }
  return absl::OkStatus();
}

}  // namespace gradd

#include "core/durability/safetensors_header.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "nlohmann/json.hpp"

namespace gradd {
namespace {

constexpr SafetensorsType kTypes[] = {{"BOOL", 8},    {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6},
                                      {"U8", 8},      {"I8", 8},   {"F8_E5M2", 8}, {"F8_E4M3", 8},
                                      {"F8_E8M0", 8}, {"I16", 16}, {"U16", 16},    {"F16", 16},
                                      {"BF16", 16},   {"I32", 32}, {"U32", 32},    {"F32", 32},
                                      {"C64", 64},    {"F64", 64}, {"I64", 64},    {"U64", 64}};
// What is said of each tensor.
constexpr absl::string_view kFields[] = {"dtype", "shape", "data_offsets"};
constexpr int64_t kLengthBytes = 8;
constexpr int64_t kDataAlignment = 64;
// Beyond any file, and far enough from the end of int64.
constexpr int64_t kMaxBytes = int64_t{1} << 60;

// a * b, or -1 if that is more than kMaxBytes. Neither is below 0.
int64_t Product(int64_t a, int64_t b) {
  if (b != 0 && a > kMaxBytes / b) return -1;
  return a * b;
}

// Bytes that the tensor's data takes; -1 if they cannot be counted, or are no whole number.
int64_t BytesOf(const SafetensorsTensor& tensor) {
  const int64_t elements = tensor.elements();
  const int64_t bits = elements < 0 ? -1 : Product(elements, tensor.type->bits);
  return bits < 0 || bits % 8 != 0 ? -1 : bits / 8;
}

std::string TensorText(absl::string_view name) { return absl::StrCat("tensor ", Quoted(name)); }

// Takes the header's events as they are read, so that no tree of it is made. Everything that the
// format does not have ends it, with a message.
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(SafetensorsHeader* header) : header_(header) {}

  // What was wrong; empty: nothing was.
  const std::string& message() const { return message_; }

  bool null() override { return Unexpected("null"); }
  bool boolean(bool /*value*/) override { return Unexpected("true or false"); }
  bool number_integer(number_integer_t value) override { return Unexpected(absl::StrCat(value)); }
  bool number_float(number_float_t /*value*/, const string_t& text) override {
    return Unexpected(text);
  }
  bool binary(binary_t& /*value*/) override { return Unexpected("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ != Place::kShape && place_ != Place::kOffsets) {
      return Unexpected(absl::StrCat(value));
    }
    if (value > static_cast<uint64_t>(kMaxBytes)) {
      return Fail(absl::StrCat(field_, ": ", value, " is more than any file has"));
    }
    std::vector<int64_t>& numbers = place_ == Place::kShape ? tensor_.shape : offsets_;
    const size_t most = place_ == Place::kShape ? kMaxSafetensorsDimensions : 2;
    if (numbers.size() == most) {
      return Fail(absl::StrCat(field_, ": more than ", most, " numbers"));
    }
    numbers.push_back(static_cast<int64_t>(value));
    return true;
  }

  bool string(string_t& value) override {
    if (place_ == Place::kMetadata) {
      if (header_->metadata.emplace(field_, std::move(value)).second) return true;
      return Fail(absl::StrCat("the key ", Quoted(field_), " is there twice"));
    }
    if (place_ != Place::kTensor || field_ != "dtype") return Unexpected(Quoted(value));
    tensor_.type = FindSafetensorsType(value);
    if (tensor_.type != nullptr) return true;
    return Fail(absl::StrCat("dtype: ", Quoted(value), " is no type of the format"));
  }

  bool start_object(size_t /*elements*/) override {
    switch (place_) {
      case Place::kOutside:
        place_ = Place::kTop;
        return true;
      case Place::kTop:
        place_ = name_ == kSafetensorsMetadata ? Place::kMetadata : Place::kTensor;
        tensor_ = {};
        tensor_.name = name_;
        offsets_.clear();
        has_field_ = {};
        return true;
      default:
        return Unexpected("an object");
    }
  }

  bool key(string_t& value) override {
    if (place_ != Place::kTop) {
      field_ = std::move(value);
      if (place_ == Place::kMetadata) return true;
      const auto* const known = std::find(std::begin(kFields), std::end(kFields), field_);
      if (known == std::end(kFields)) {
        return Fail(absl::StrCat("the field ", Quoted(field_), " is not known"));
      }
      if (!std::exchange(has_field_[static_cast<size_t>(known - kFields)], true)) return true;
      return Fail(absl::StrCat(field_, " is there twice"));
    }
    name_ = std::move(value);
    if (name_ != kSafetensorsMetadata || !std::exchange(has_metadata_, true)) return true;
    return Fail("is there twice");
  }

  bool end_object() override {
    if (place_ == Place::kTensor) {
      for (size_t i = 0; i < std::size(kFields); ++i) {
        if (!has_field_[i]) return Fail(absl::StrCat(kFields[i], " is missing"));
      }
      if (offsets_.size() != 2) {
        return Fail(absl::StrCat("data_offsets: ", offsets_.size(), " numbers, 2 expected"));
      }
      tensor_.begin = offsets_[0];
      tensor_.end = offsets_[1];
      tensor_.shape.shrink_to_fit();
      header_->tensors.push_back(std::move(tensor_));
    }
    place_ = place_ == Place::kTop ? Place::kOutside : Place::kTop;
    return true;
  }

  bool start_array(size_t /*elements*/) override {
    if (place_ != Place::kTensor || field_ == "dtype") return Unexpected("a list");
    place_ = field_ == "shape" ? Place::kShape : Place::kOffsets;
    return true;
  }

  bool end_array() override {
    place_ = Place::kTensor;
    return true;
  }

  bool parse_error(size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*error*/) override {
    message_ = absl::StrCat("the header is no JSON in UTF-8, at its byte ", position);
    return false;
  }

 private:
  enum class Place { kOutside, kTop, kMetadata, kTensor, kShape, kOffsets };

  bool Fail(absl::string_view what) {
    const std::string where =
        name_ == kSafetensorsMetadata ? std::string(kSafetensorsMetadata) : TensorText(name_);
    message_ = absl::StrCat(where, ": ", what);
    return false;
  }

  bool Unexpected(absl::string_view found) {
    switch (place_) {
      case Place::kOutside:
        message_ = absl::StrCat("the header is ", found, ", an object expected");
        return false;
      case Place::kTop:
        return Fail(absl::StrCat("is ", found, ", an object expected"));
      case Place::kMetadata:
        return Fail(absl::StrCat(Quoted(field_), " is ", found, ", text expected"));
      case Place::kTensor:
        return Fail(absl::StrCat(field_, ": ", found, ", ",
                                 field_ == "dtype" ? "text" : "a list of numbers", " expected"));
      case Place::kShape:
      case Place::kOffsets:
        break;
    }
    return Fail(absl::StrCat(field_, ": ", found, ", whole numbers from 0 on expected"));
  }

  SafetensorsHeader* const header_;
  std::string message_;
  Place place_ = Place::kOutside;
  bool has_metadata_ = false;
  std::string name_;   // Of the tensor, or __metadata__.
  std::string field_;  // In it.
  SafetensorsTensor tensor_;
  std::vector<int64_t> offsets_;
  std::array<bool, std::size(kFields)> has_field_ = {};  // Of the tensor.
};

// Empty, or what is wrong with where the tensors' data lies.
std::string CheckPlaces(const std::vector<SafetensorsTensor>& tensors, int64_t data_bytes) {
  int64_t end = 0;
  for (const SafetensorsTensor& tensor : tensors) {
    const std::string where = absl::StrCat(TensorText(tensor.name), ": data_offsets [",
                                           tensor.begin, ", ", tensor.end, "]");
    if (tensor.begin != end) {
      return absl::StrCat(where, ", ", tensor.begin < end ? "an overlap" : "a gap",
                          ": the data before it ends at ", end);
    }
    if (tensor.end < tensor.begin) return absl::StrCat(where, " end before they begin");
    const int64_t bytes = BytesOf(tensor);
    if (bytes != tensor.end - tensor.begin) {
      const std::string expected =
          bytes < 0 ? "no number of bytes that a file can have" : absl::StrCat(bytes, " bytes");
      return absl::StrCat(where, ", where its shape of ", tensor.type->name, " takes ", expected);
    }
    if (tensor.end > data_bytes) {
      return absl::StrCat(where, " are beyond the file's ", data_bytes, " bytes of data");
    }
    end = tensor.end;
  }
  if (end == data_bytes) return "";
  return absl::StrCat(data_bytes, " bytes of data, and its tensors take ", end);
}

// The name that is there twice; null: none is.
const std::string* FindTwice(const std::vector<SafetensorsTensor>& tensors) {
  absl::flat_hash_set<absl::string_view> names;
  names.reserve(tensors.size());
  for (const SafetensorsTensor& tensor : tensors) {
    if (!names.insert(tensor.name).second) return &tensor.name;
  }
  return nullptr;
}

absl::Status FormatError(absl::string_view what) { return InvalidArgument("FILE_INVALID", what); }

}  // namespace

const SafetensorsType* FindSafetensorsType(absl::string_view name) {
  const auto* const found = std::find_if(std::begin(kTypes), std::end(kTypes),
                                         [name](const auto& type) { return type.name == name; });
  return found == std::end(kTypes) ? nullptr : found;
}

int64_t SafetensorsTensor::elements() const {
  // A dimension of 0 makes it 0, however long the others are.
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  int64_t elements = 1;
  for (const int64_t dimension : shape) {
    elements = Product(elements, dimension);
    if (elements < 0) return -1;
  }
  return elements;
}

absl::Status FileInvalid(absl::string_view path, absl::string_view what) {
  return InvalidArgument("FILE_INVALID", absl::StrCat(path, ": ", what));
}

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(const std::string& path,
                                                         absl::string_view json,
                                                         int64_t data_bytes) {
  // Said here, since JSON may begin with spaces, and a byte order mark would be passed over.
  if (json.empty() || json[0] != '{') return FileInvalid(path, "the header does not begin with {");
  SafetensorsHeader header;
  HeaderReader reader(&header);
  if (!nlohmann::json::sax_parse(json.begin(), json.end(), &reader)) {
    return FileInvalid(path, reader.message());
  }
  if (const std::string* const twice = FindTwice(header.tensors); twice != nullptr) {
    return FileInvalid(path, absl::StrCat(TensorText(*twice), " is there twice"));
  }
  std::stable_sort(header.tensors.begin(), header.tensors.end(), [](const auto& a, const auto& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  const std::string wrong = CheckPlaces(header.tensors, data_bytes);
  if (!wrong.empty()) return FileInvalid(path, wrong);
  return header;
}

absl::StatusOr<std::string> FormatSafetensorsHeader(SafetensorsHeader* header) {
  if (const std::string* const twice = FindTwice(header->tensors); twice != nullptr) {
    return FormatError(absl::StrCat(TensorText(*twice), " is there twice"));
  }
  std::string text(kLengthBytes, '\0');
  text += '{';
  const auto quote = [](const std::string& part) { return nlohmann::json(part).dump(); };
  try {
    if (!header->metadata.empty()) {
      absl::StrAppend(&text, "\"", kSafetensorsMetadata,
                      "\":", nlohmann::json(header->metadata).dump());
    }
    int64_t end = 0;
    for (SafetensorsTensor& tensor : header->tensors) {
      const int64_t bytes = BytesOf(tensor);
      if (bytes < 0 || bytes > kMaxBytes - end || tensor.name == kSafetensorsMetadata) {
        return FormatError(absl::StrCat(TensorText(tensor.name), " cannot be in such a file"));
      }
      tensor.begin = end;
      tensor.end = end + bytes;
      end = tensor.end;
      absl::StrAppend(&text, text.back() == '{' ? "" : ",", quote(tensor.name), ":{\"dtype\":\"",
                      tensor.type->name, "\",\"shape\":", nlohmann::json(tensor.shape).dump(),
                      ",\"data_offsets\":[", tensor.begin, ",", tensor.end, "]}");
    }
  } catch (const nlohmann::json::type_error&) {
    return FormatError("a name or text for a safetensors file is no UTF-8");
  }
  text += '}';
  const auto size = static_cast<int64_t>(text.size());
  text.append(static_cast<size_t>((kDataAlignment - size % kDataAlignment) % kDataAlignment), ' ');
  const auto length = static_cast<int64_t>(text.size()) - kLengthBytes;
  if (length > kMaxSafetensorsHeaderBytes) {
    return FormatError(absl::StrCat("a header of ", length, " bytes, at most ",
                                    kMaxSafetensorsHeaderBytes, " expected"));
  }
  for (int64_t i = 0; i < kLengthBytes; ++i) {
    text[static_cast<size_t>(i)] = static_cast<char>((length >> (8 * i)) & 0xff);
  }
  return text;
}

}  // namespace gradd

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/durability/safetensors_reader.h"
#include "nlohmann/json.hpp"
#include "tests/fuzz/checks.h"
#include "tests/support/fake_file_system.h"

namespace gradd {
namespace {

using Json = nlohmann::json;

// Of a JSON text; discarded where it is none, or a key is there twice in an object.
Json Tree(absl::string_view text) {
  std::vector<std::set<std::string>> keys;
  bool twice = false;
  const auto look = [&](int /*depth*/, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key) {
      twice = twice || !keys.back().insert(parsed.get<std::string>()).second;
    }
    return true;
  };
  Json tree = Json::parse(text.begin(), text.end(), look, /*allow_exceptions=*/false);
  return twice ? Json(Json::value_t::discarded) : tree;
}

// Whether all are whole numbers from 0 to 2^60.
bool AreNumbers(const Json& list) {
  if (!list.is_array()) return false;
  for (const Json& number : list) {
    if (!number.is_number_unsigned() || number.get<uint64_t>() > uint64_t{1} << 60) return false;
  }
  return true;
}

// Whether the format allows `bytes`, by a plain look at all of it.
bool PlainTakes(absl::string_view bytes) {
  if (bytes.size() < 9) return false;
  uint64_t length = 0;
  for (size_t i = 8; i-- > 0;) length = length << 8 | static_cast<unsigned char>(bytes[i]);
  if (length > bytes.size() - 8 || length == 0 || bytes[8] != '{') return false;
  const Json header = Tree(bytes.substr(8, length));
  if (!header.is_object()) return false;
  std::multimap<std::pair<uint64_t, uint64_t>, bool> places;
  for (const auto& [name, entry] : header.items()) {
    if (!entry.is_object()) return false;
    if (name == kSafetensorsMetadata) {
      for (const auto& [key, text] : entry.items()) {
        if (!text.is_string()) return false;
      }
      continue;
    }
    if (entry.size() != 3 || !entry.contains("dtype") || !entry.contains("shape") ||
        !entry.contains("data_offsets") || !entry["dtype"].is_string()) {
      return false;
    }
    const SafetensorsType* const type = FindSafetensorsType(entry["dtype"].get<std::string>());
    const Json& shape = entry["shape"];
    const Json& offsets = entry["data_offsets"];
    if (type == nullptr || !AreNumbers(shape) || shape.size() > 64) return false;
    if (!AreNumbers(offsets) || offsets.size() != 2) return false;
    long double bits = type->bits;
    for (const Json& dimension : shape) bits *= static_cast<long double>(dimension.get<uint64_t>());
    const auto begin = offsets[0].get<uint64_t>();
    const auto end = offsets[1].get<uint64_t>();
    if (end < begin || static_cast<long double>(end - begin) * 8 != bits) return false;
    places.emplace(std::pair(begin, end), true);
  }
  uint64_t end = 0;
  for (const auto& [place, there] : places) {
    if (place.first != end) return false;
    end = place.second;
  }
  return end == bytes.size() - 8 - length;
}

}  // namespace

std::string CheckSafetensors(absl::string_view bytes, absl::string_view /*cuts*/) {
  FakeFileSystem files;
  files.SetContents("a", std::string(bytes));
  const auto reader = SafetensorsReader::Open(&files, "a");
  const bool expected = PlainTakes(bytes);
  if (reader.ok() != expected) {
    return absl::StrCat("found ", reader.status().ToString(), ", expected ", expected, ": ",
                        absl::CHexEscape(bytes));
  }
  if (!reader.ok()) return "";
  SafetensorsHeader header{(*reader)->tensors(), (*reader)->metadata()};
  for (const SafetensorsTensor& tensor : header.tensors) {
    // Sooner than memory ends: 8 bytes are the largest element.
    std::vector<float> values(static_cast<size_t>(tensor.elements()) + 1, -1);
    const bool read = (*reader)->ReadFloats(tensor, 0, tensor.elements(), values.data()).ok();
    if (read != SafetensorsReader::HasFloats(tensor) || values.back() != -1) return "floats";
  }
  const auto again = FormatSafetensorsHeader(&header);
  if (!again.ok()) return absl::StrCat("not written again: ", again.status().ToString());
  FakeFileSystem other;
  other.SetContents(
      "a", *again + std::string(bytes.substr(static_cast<size_t>((*reader)->data_begin()))));
  const auto read = SafetensorsReader::Open(&other, "a");
  if (!read.ok()) return absl::StrCat("not read again: ", read.status().ToString());
  for (const SafetensorsTensor& tensor : (*reader)->tensors()) {
    const SafetensorsTensor* const found = (*read)->Find(tensor.name);
    if (found == nullptr || found->begin != tensor.begin || found->end != tensor.end ||
        found->shape != tensor.shape || found->type != tensor.type) {
      return absl::StrCat("another tensor ", tensor.name, ": ", absl::CHexEscape(bytes));
    }
  }
  return (*read)->metadata() == (*reader)->metadata() ? "" : "other metadata";
}

}  // namespace gradd

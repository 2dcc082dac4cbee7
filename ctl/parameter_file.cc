#include "ctl/parameter_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
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
      absl::StrCat("--output: ", path, " ends neither with .safetensors nor with .f32"));
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

NewFile::NewFile(std::string path, std::string temporary, int descriptor)
    : path_(std::move(path)), temporary_(std::move(temporary)), descriptor_(descriptor) {}

absl::StatusOr<std::unique_ptr<NewFile>> NewFile::Create(const std::string& path) {
  struct stat found = {};
  if (stat(path.c_str(), &found) == 0 && !S_ISREG(found.st_mode)) {
    return FileError(absl::StrCat("cannot write ", path, ": it exists and is not a regular file"));
  }
  std::string temporary = absl::StrCat(path, ".XXXXXX");
  const int descriptor = mkostemp(temporary.data(), O_CLOEXEC);
  if (descriptor < 0) {
    return FileError(absl::StrCat("cannot write ", path, ": ", std::strerror(errno)));
  }
  // mkostemp() makes a file for its owner alone; this one shall be as any other.
  const mode_t mask = umask(0);
  umask(mask);
  fchmod(descriptor, 0666 & ~mask);
  return std::unique_ptr<NewFile>(new NewFile(path, std::move(temporary), descriptor));
}

NewFile::~NewFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!committed_) unlink(temporary_.c_str());
}

absl::Status NewFile::IoError(absl::string_view what) const {
  return FileError(absl::StrCat("cannot ", what, " ", path_, ": ", std::strerror(errno)));
}

absl::Status NewFile::Write(absl::string_view data) {
  while (!data.empty()) {
    const ssize_t written = write(descriptor_, data.data(), data.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return IoError("write");
    data.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status NewFile::Commit() {
  if (fsync(descriptor_) != 0) return IoError("write");
  const int closed = close(descriptor_);
  descriptor_ = -1;
  if (closed != 0) return IoError("write");
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) return IoError("rename to");
  committed_ = true;
  return absl::OkStatus();
}

}  // namespace gradd::ctl

#include "worker/data/input_file.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace gradd {
namespace {

constexpr size_t kReadBytes = size_t{1} << 20;
constexpr unsigned kBufferBytes = 256 * 1024;

}  // namespace

void InputFile::Closer::operator()(void* file) const { gzclose(static_cast<gzFile>(file)); }

absl::StatusOr<InputFile> InputFile::Open(const std::string& path) {
  errno = 0;
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) {
    const std::string reason = errno == 0 ? "not enough memory" : std::strerror(errno);
    return absl::NotFoundError(absl::StrCat(path, ": cannot be opened: ", reason));
  }
  gzbuffer(file, kBufferBytes);
  return InputFile(path, file);
}

absl::StatusOr<size_t> InputFile::Read(size_t size, uint8_t* bytes) {
  gzFile file = static_cast<gzFile>(file_.get());
  size_t done = 0;
  while (done < size) {
    const int read =
        gzread(file, bytes + done, static_cast<unsigned>(std::min(size - done, kReadBytes)));
    int code = Z_OK;
    const char* message = gzerror(file, &code);
    // A stream cut short yields its bytes first and Z_BUF_ERROR beside them.
    if (read < 0 || code == Z_BUF_ERROR) {
      const std::string reason = code == Z_ERRNO       ? std::strerror(errno)
                                 : code == Z_BUF_ERROR ? "the gzip data ends too early"
                                                       : message;
      return absl::DataLossError(absl::StrCat(path_, ": cannot be read: ", reason));
    }
    if (read == 0) break;
    done += static_cast<size_t>(read);
  }
  return done;
}

absl::StatusOr<std::vector<uint8_t>> InputFile::ReadExactly(int64_t size, const std::string& what) {
  const size_t expected = static_cast<size_t>(size);
  std::vector<uint8_t> bytes;
  while (bytes.size() < expected) {
    const size_t before = bytes.size();
    bytes.resize(std::min(expected, std::max(2 * before, kReadBytes)));
    const absl::StatusOr<size_t> read = Read(bytes.size() - before, bytes.data() + before);
    if (!read.ok()) return read.status();
    if (before + *read < bytes.size()) {
      return absl::DataLossError(absl::StrCat(path_, ": ", what, ": ", before + *read,
                                              " bytes found, ", expected, " expected"));
    }
  }
  return bytes;
}

}  // namespace gradd

#include "core/base/shared_region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"

namespace gradd {
namespace {

std::string RandomToken() {
  std::random_device device;
  return absl::StrCat("gradd-", absl::Hex(device(), absl::kZeroPad8),
                      absl::Hex(device(), absl::kZeroPad8), absl::Hex(device(), absl::kZeroPad8),
                      absl::Hex(device(), absl::kZeroPad8));
}

absl::Status SystemError(const char* what, int64_t bytes) {
  return Error(absl::StatusCode::kResourceExhausted, "SHARED_MEMORY_EXHAUSTED",
               absl::StrCat("a shared region of ", bytes, " bytes: ", what, ": ", strerror(errno)));
}

}  // namespace

int64_t PageBytes() {
  static const int64_t bytes = sysconf(_SC_PAGESIZE);
  return bytes;
}

int64_t RoundUpToPages(int64_t bytes) {
  return (bytes + PageBytes() - 1) / PageBytes() * PageBytes();
}

absl::StatusOr<std::shared_ptr<SharedRegion>> SharedRegion::Create(int64_t bytes, Access access) {
  bytes = RoundUpToPages(bytes);
  std::string token = RandomToken();
  const int file = memfd_create(token.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (file < 0) return SystemError("memfd_create", bytes);
  void* data = MAP_FAILED;
  if (ftruncate(file, bytes) == 0) {
    data = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_NORESERVE, file, 0);
  }
  // Sealed after it is mapped: F_SEAL_FUTURE_WRITE leaves alone the mapping that is there.
  const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL |
                    (access == Access::kPeerReads ? F_SEAL_FUTURE_WRITE : 0);
  if (data == MAP_FAILED || fcntl(file, F_ADD_SEALS, seals) != 0) {
    absl::Status error = SystemError(data == MAP_FAILED ? "mmap" : "seals", bytes);
    if (data != MAP_FAILED) munmap(data, static_cast<size_t>(bytes));
    close(file);
    return error;
  }
  return std::shared_ptr<SharedRegion>(
      new SharedRegion(file, static_cast<std::byte*>(data), bytes, std::move(token)));
}

SharedRegion::SharedRegion(int file, std::byte* data, int64_t bytes, std::string token)
    : file_(file), data_(data), bytes_(bytes), token_(std::move(token)) {}

bool SharedRegion::Populate(int64_t begin, int64_t bytes) const {
  return fallocate(file_, 0, begin, bytes) == 0;
}

void SharedRegion::FaultIn(int64_t begin, int64_t bytes) const {
  madvise(data_ + begin, static_cast<size_t>(bytes), MADV_POPULATE_WRITE);
}

SharedRegion::~SharedRegion() {
  munmap(data_, static_cast<size_t>(bytes_));
  close(file_);
}

}  // namespace gradd

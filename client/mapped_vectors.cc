#include "client/mapped_vectors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/base/shared_region.h"

namespace gradd {
namespace {

absl::Status Failed(absl::string_view what) {
  return absl::UnavailableError(absl::StrCat("shared memory: ", what, ": ", strerror(errno)));
}

// An open file that is closed unless it is kept.
class File {
 public:
  explicit File(int number) : number_(number) {}
  ~File() {
    if (number_ >= 0) close(number_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int number() const { return number_; }
  int Keep() { return std::exchange(number_, -1); }

 private:
  int number_;
};

// What only a region that is made as core/base/shared_region.h makes them has: the name, and a
// size that nobody can reduce. Asked of the open file, since the link in /proc may have changed.
bool IsRegion(int file, const std::string& token) {
  char target[512] = "";
  const std::string link = absl::StrCat("/proc/self/fd/", file);
  if (readlink(link.c_str(), target, sizeof(target) - 1) < 0) return false;
  const int seals = fcntl(file, F_GET_SEALS);
  return !token.empty() && absl::StartsWith(target, absl::StrCat("/memfd:", token)) && seals >= 0 &&
         (seals & F_SEAL_SHRINK) != 0;
}

// Opens a file of the server's process, if it is one of its regions: in another container the same
// numbers may be something else.
int OpenFile(int64_t process_id, const v1::SharedFile& shared, int flags) {
  const std::string path = absl::StrCat("/proc/", process_id, "/fd/", shared.file());
  File file(open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (file.number() < 0) return -1;
  if (!absl::StartsWith(shared.token(), "gradd-") || !IsRegion(file.number(), shared.token())) {
    errno = ENOENT;
    return -1;
  }
  return file.Keep();
}

int64_t SizeOf(int file) {
  struct stat status = {};
  return fstat(file, &status) == 0 ? status.st_size : -1;
}

}  // namespace

absl::StatusOr<std::unique_ptr<MappedVectors>> MappedVectors::Create(int64_t elements) {
  std::unique_ptr<MappedVectors> vectors(new MappedVectors(elements));
  for (Range* range : {&vectors->gradient_, &vectors->parameters_}) {
    const int64_t bytes = RoundUpToPages(elements * int64_t{sizeof(float)});
    void* const data = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) return Failed(absl::StrCat("an own vector of ", bytes, " bytes"));
    *range = {static_cast<float*>(data), static_cast<size_t>(bytes)};
  }
  return vectors;
}

MappedVectors::MappedVectors(int64_t elements) : elements_(static_cast<size_t>(elements)) {}

MappedVectors::~MappedVectors() {
  Close();
  for (const Range& range : {gradient_, parameters_}) {
    if (range.data != nullptr) munmap(range.data, range.bytes);
  }
}

void MappedVectors::CloseFile(int* file) {
  if (*file >= 0) close(std::exchange(*file, -1));
}

void MappedVectors::Close() {
  MutexLock lock(&mutex_);
  CloseFiles();
}

void MappedVectors::CloseFiles() {
  CloseFile(&gradient_file_);
  CloseFile(&parameter_file_);
  if (parking_.data != nullptr) munmap(parking_.data, parking_.bytes);
  parking_ = {};
  parked_.clear();
  if (attached_ == Attached::kOpened) attached_ = Attached::kEarlier;
}

absl::Status MappedVectors::Replace(const Range& range, int file, bool keep_values) {
  const int flags = file >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* const fresh = mmap(nullptr, range.bytes, PROT_READ | PROT_WRITE, flags, file, 0);
  if (fresh == MAP_FAILED) return Failed(absl::StrCat("a vector of ", range.bytes, " bytes"));
  // All at once, instead of one page fault at a time.
  if (keep_values) madvise(fresh, range.bytes, MADV_POPULATE_WRITE);
  if (keep_values) std::memcpy(fresh, range.data, range.bytes);
  if (mremap(fresh, range.bytes, range.bytes, MREMAP_MAYMOVE | MREMAP_FIXED, range.data) ==
      MAP_FAILED) {
    munmap(fresh, range.bytes);
    return Failed("mremap");
  }
  return absl::OkStatus();
}

absl::Status MappedVectors::Open(const v1::SharedMemory& shared) {
  MutexLock lock(&mutex_);
  File gradient(OpenFile(shared.process_id(), shared.gradient(), O_RDWR));
  if (gradient.number() < 0) return Failed("the gradient region");
  File parameters(OpenFile(shared.process_id(), shared.parameters(), O_RDONLY));
  if (parameters.number() < 0) return Failed("the parameter region");
  const int64_t block_elements = std::clamp<int64_t>(shared.block_elements(), 0, int64_t{1} << 40);
  const int64_t block_bytes = block_elements * int64_t{sizeof(float)};
  if (SizeOf(gradient.number()) < static_cast<int64_t>(gradient_.bytes) || block_bytes < 1 ||
      block_bytes % PageBytes() != 0) {
    return absl::InternalError(absl::StrCat(
        "shared memory: a gradient region of ", SizeOf(gradient.number()), " bytes and blocks of ",
        block_bytes, ", at least ", gradient_.bytes, " and whole pages expected"));
  }
  CloseFiles();
  gradient_file_ = gradient.Keep();
  parameter_file_bytes_ = SizeOf(parameters.number());
  parameter_file_ = parameters.Keep();
  block_bytes_ = block_bytes;
  mapped_offsets_.assign(
      (parameters_.bytes + static_cast<size_t>(block_bytes) - 1) / static_cast<size_t>(block_bytes),
      -1);
  MakeParking();
  return absl::OkStatus();
}

void MappedVectors::MakeParking() {
  // Each parked block is a mapping, of which a process may have 65,530.
  constexpr size_t kMostBlocks = 4096;
  if (mapped_offsets_.size() > kMostBlocks) return;
  const auto bytes = static_cast<size_t>(parameter_file_bytes_);
  void* const data =
      mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data != MAP_FAILED) parking_ = {static_cast<float*>(data), bytes};
}

bool MappedVectors::SwapIn(std::byte* at, size_t bytes, int64_t old_offset, int64_t offset) {
  if (parking_.data == nullptr) return false;
  auto* const parking = reinterpret_cast<std::byte*>(parking_.data);
  // Both addresses stay mapped, so that no other thread's mapping can come between; Linux before
  // 5.13 refuses that here, and has changed nothing then.
  constexpr int kFlags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
  if (old_offset >= 0) {
    if (mremap(at, bytes, bytes, kFlags, parking + old_offset) == MAP_FAILED) return false;
    parked_.insert(old_offset);
  }
  return parked_.erase(offset) == 1 &&
         mremap(parking + offset, bytes, bytes, kFlags, at) != MAP_FAILED;
}

absl::Status MappedVectors::Attach() {
  MutexLock lock(&mutex_);
  const Attached wanted = gradient_file_ >= 0 ? Attached::kOpened : Attached::kOwn;
  if (attached_ == wanted) return absl::OkStatus();
  absl::Status replaced = Replace(gradient_, gradient_file_, /*keep_values=*/true);
  if (replaced.ok()) attached_ = wanted;
  return replaced;
}

absl::Status MappedVectors::Map(const v1::SharedParameters& blocks) {
  MutexLock lock(&mutex_);
  if (static_cast<size_t>(blocks.block_offsets_size()) != mapped_offsets_.size()) {
    return absl::InternalError(absl::StrCat("shared parameters in ", blocks.block_offsets_size(),
                                            " blocks, ", mapped_offsets_.size(), " expected"));
  }
  own_parameters_ = false;
  for (size_t block = 0; block < mapped_offsets_.size(); ++block) {
    const int64_t offset = blocks.block_offsets(static_cast<int>(block));
    if (offset == mapped_offsets_[block]) continue;
    const size_t begin = block * static_cast<size_t>(block_bytes_);
    const size_t bytes = std::min(static_cast<size_t>(block_bytes_), parameters_.bytes - begin);
    if (offset < 0 || offset % PageBytes() != 0 ||
        offset > parameter_file_bytes_ - static_cast<int64_t>(bytes)) {
      return absl::InternalError(absl::StrCat("shared parameters: block ", block, " of ", bytes,
                                              " bytes at ", offset, " of ", parameter_file_bytes_));
    }
    std::byte* const at = reinterpret_cast<std::byte*>(parameters_.data) + begin;
    constexpr int kFlags = MAP_SHARED | MAP_FIXED | MAP_POPULATE;
    if (!SwapIn(at, bytes, mapped_offsets_[block], offset) &&
        mmap(at, bytes, PROT_READ, kFlags, parameter_file_, offset) == MAP_FAILED) {
      return Failed("a block of parameters");
    }
    mapped_offsets_[block] = offset;
  }
  return absl::OkStatus();
}

absl::StatusOr<absl::Span<float>> MappedVectors::OwnParameters() {
  MutexLock lock(&mutex_);
  if (!own_parameters_) {
    if (absl::Status own = Replace(parameters_, /*file=*/-1, /*keep_values=*/false); !own.ok())
      return own;
    own_parameters_ = true;
    std::fill(mapped_offsets_.begin(), mapped_offsets_.end(), -1);
  }
  return absl::Span<float>(parameters_.data, elements_);
}

}  // namespace gradd

#include "core/durability/durable_file.h"

#include "core/base/error.h"

namespace gradd {
namespace {

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

absl::StatusOr<std::unique_ptr<DurableFile>> DurableFile::Create(FileSystem* files,
                                                                 std::string path,
                                                                 int64_t sync_bytes) {
  const std::string temporary = TemporaryPath(path);
  auto file = files->Create(temporary);
  if (file.status().code() == absl::StatusCode::kAlreadyExists) {
    GRADD_RETURN_IF_ERROR(files->Remove(temporary));
    file = files->Create(temporary);
  }
  GRADD_RETURN_IF_ERROR(file.status());
  return std::unique_ptr<DurableFile>(
      new DurableFile(files, std::move(path), sync_bytes, *std::move(file)));
}

DurableFile::~DurableFile() {
  if (file_ == nullptr) return;
  file_.reset();
  // It is in nobody's way if it stays.
  files_->Remove(TemporaryPath(path_)).IgnoreError();
}

absl::Status DurableFile::Append(absl::Span<const absl::string_view> pieces) {
  const int64_t before = file_->size();
  GRADD_RETURN_IF_ERROR(file_->Append(pieces));
  size_ = file_->size();
  not_synced_ += size_ - before;
  if (not_synced_ < sync_bytes_) return absl::OkStatus();
  not_synced_ = 0;
  return file_->Sync();
}

absl::Status DurableFile::Commit() {
  GRADD_RETURN_IF_ERROR(file_->Sync());
  GRADD_RETURN_IF_ERROR(files_->Rename(TemporaryPath(path_), path_));
  file_.reset();
  return files_->SyncDirectory(DirectoryOf(path_));
}

}  // namespace gradd

#include "core/durability/incoming_file.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/error.h"
#include "core/base/utf8.h"

namespace gradd {
namespace {

// So that the system never has more to write at once, and the syncs of logs are not kept waiting.
constexpr int64_t kSyncBytes = int64_t{32} << 20;
// In memory it lies in pieces, which are taken as they are needed.
constexpr int64_t kPieceBytes = int64_t{1} << 20;

// A file of which a part is still to come.
class PartialFile final : public ReadableFile {
 public:
  PartialFile(std::unique_ptr<ReadableFile> file, int64_t size)
      : file_(std::move(file)), size_(size) {}
  int64_t size() const override { return size_; }
  absl::Status Read(int64_t offset, int64_t size, char* to) const override {
    return file_->Read(offset, size, to);
  }

 private:
  const std::unique_ptr<ReadableFile> file_;
  const int64_t size_;
};

class FileOnDisk final : public IncomingFile {
 public:
  FileOnDisk(FileSystem* files, std::string path, int64_t bytes, std::unique_ptr<WritableFile> file)
      : IncomingFile(bytes), files_(*files), path_(std::move(path)), file_(std::move(file)) {}
  ~FileOnDisk() override {
    file_.reset();
    files_.Remove(path_).IgnoreError();  // The next start of a server tries again.
  }

  absl::StatusOr<std::unique_ptr<ReadableFile>> Read() const override {
    auto file = files_.OpenToRead(path_);
    GRADD_RETURN_IF_ERROR(file.status());
    return std::make_unique<PartialFile>(*std::move(file), bytes());
  }

 private:
  absl::Status Add(absl::string_view data) override {
    GRADD_RETURN_IF_ERROR(file_->Append({data}));
    not_synced_ += static_cast<int64_t>(data.size());
    if (not_synced_ < kSyncBytes) return absl::OkStatus();
    not_synced_ = 0;
    return file_->Sync();
  }

  FileSystem& files_;
  const std::string path_;
  std::unique_ptr<WritableFile> file_;
  int64_t not_synced_ = 0;
};

class FileInMemory final : public IncomingFile {
 public:
  FileInMemory(int64_t bytes, std::shared_ptr<MemoryBudget::Claim> claim)
      : IncomingFile(bytes), claim_(std::move(claim)) {
    pieces_.reserve(static_cast<size_t>((bytes + kPieceBytes - 1) / kPieceBytes));
  }

  absl::StatusOr<std::unique_ptr<ReadableFile>> Read() const override {
    return std::make_unique<Reader>(*this);
  }

 private:
  class Reader final : public ReadableFile {
   public:
    explicit Reader(const FileInMemory& file) : file_(file) {}
    int64_t size() const override { return file_.bytes(); }
    absl::Status Read(int64_t offset, int64_t size, char* to) const override {
      if (offset + size > file_.received()) {
        return EndOfFileError("what was sent", file_.received(), offset + size);
      }
      for (int64_t done = 0; done < size;) {
        const int64_t at = offset + done;
        const int64_t in_piece = at % kPieceBytes;
        const int64_t count = std::min(size - done, kPieceBytes - in_piece);
        std::memcpy(to + done,
                    file_.pieces_[static_cast<size_t>(at / kPieceBytes)].get() + in_piece,
                    static_cast<size_t>(count));
        done += count;
      }
      return absl::OkStatus();
    }

   private:
    const FileInMemory& file_;
  };

  absl::Status Add(absl::string_view data) override {
    int64_t at = received();
    while (!data.empty()) {
      const int64_t in_piece = at % kPieceBytes;
      if (in_piece == 0) {
        const int64_t piece = std::min(kPieceBytes, bytes() - at);
        pieces_.emplace_back(new (std::nothrow) char[static_cast<size_t>(piece)]);
        if (pieces_.back() == nullptr) {
          return Error(absl::StatusCode::kResourceExhausted, "OUT_OF_MEMORY",
                       "the server's machine does not have the memory for the file");
        }
      }
      const auto count =
          static_cast<size_t>(std::min(static_cast<int64_t>(data.size()), kPieceBytes - in_piece));
      std::memcpy(pieces_.back().get() + in_piece, data.data(), count);
      data.remove_prefix(count);
      at += static_cast<int64_t>(count);
    }
    return absl::OkStatus();
  }

  const std::shared_ptr<MemoryBudget::Claim> claim_;
  std::vector<std::unique_ptr<char[]>> pieces_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<IncomingFile>> IncomingFile::OnDisk(FileSystem* files,
                                                                   std::string path,
                                                                   int64_t bytes) {
  auto file = files->Create(path);
  GRADD_RETURN_IF_ERROR(file.status());
  return std::make_unique<FileOnDisk>(files, std::move(path), bytes, *std::move(file));
}

absl::StatusOr<std::unique_ptr<IncomingFile>> IncomingFile::InMemory(MemoryBudget* budget,
                                                                     absl::string_view name,
                                                                     int64_t bytes) {
  auto claim = budget->Take(MemoryUse::kScratch, bytes);
  if (claim == nullptr) {
    return Error(absl::StatusCode::kResourceExhausted, "IMPORT_TOO_LARGE",
                 absl::StrCat(Quoted(name), " has ", bytes,
                              " bytes, which the server keeps in memory until they are read, as it "
                              "has no state directory; ",
                              budget->taken_bytes(), " of the server's ", budget->limits().total,
                              " are taken"));
  }
  return std::make_unique<FileInMemory>(bytes, std::move(claim));
}

absl::Status IncomingFile::Append(absl::string_view data) {
  GRADD_DCHECK(static_cast<int64_t>(data.size()) <= bytes_ - received_, "more than the file has");
  GRADD_RETURN_IF_ERROR(Add(data));
  received_ += static_cast<int64_t>(data.size());
  return absl::OkStatus();
}

}  // namespace gradd

#include "tests/support/fake_file_system.h"

#include <algorithm>
#include <cerrno>
#include <random>
#include <set>
#include <stdexcept>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace gradd {
namespace {

// Without a slash in front and at the end. "." is the uppermost directory.
std::string Plain(absl::string_view path) {
  if (path == ".") return "";
  while (absl::ConsumePrefix(&path, "/")) {
  }
  while (absl::ConsumeSuffix(&path, "/")) {
  }
  return std::string(path);
}

// The directory that it is in; empty: the uppermost.
std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

}  // namespace

class FakeFileSystem::OpenToWrite final : public WritableFile {
 public:
  OpenToWrite(FakeFileSystem* files, std::shared_ptr<Node> node, std::string path)
      : files_(files),
        node_(std::move(node)),
        path_(std::move(path)),
        size_(static_cast<int64_t>(node_->file.seen().size())) {}

  int64_t size() const override { return size_; }
  absl::Status Append(absl::Span<const absl::string_view> pieces) override {
    return files_->Write(node_.get(), path_, &size_, pieces);
  }
  absl::Status Truncate(int64_t size) override {
    const absl::Status status = files_->TruncateFile(node_.get(), path_, size);
    if (status.ok()) size_ = size;
    return status;
  }
  absl::Status Sync() override { return files_->SyncFile(node_.get(), path_); }

 private:
  FakeFileSystem* const files_;
  const std::shared_ptr<Node> node_;
  const std::string path_;
  int64_t size_;
};

class FakeFileSystem::OpenFile final : public ReadableFile {
 public:
  OpenFile(FakeFileSystem* files, std::shared_ptr<Node> node, std::string path)
      : files_(files),
        node_(std::move(node)),
        path_(std::move(path)),
        size_(static_cast<int64_t>(node_->file.seen().size())) {}

  int64_t size() const override { return size_; }
  absl::Status Read(int64_t offset, int64_t size, char* to) const override {
    MutexLock lock(&files_->mutex_);
    const int error = files_->Begin("read", path_);
    if (error != 0) return FileSystemError("read", path_, error);
    const std::string& data = node_->file.seen();
    const auto end = static_cast<int64_t>(data.size());
    if (offset + size > end) return EndOfFileError(path_, end, offset + size);
    data.copy(to, static_cast<size_t>(size), static_cast<size_t>(offset));
    return absl::OkStatus();
  }

 private:
  FakeFileSystem* const files_;
  const std::shared_ptr<Node> node_;
  const std::string path_;
  const int64_t size_;
};

class FakeFileSystem::HeldLock final : public FileLock {
 public:
  HeldLock(FakeFileSystem* files, std::shared_ptr<Node> node)
      : files_(files), node_(std::move(node)) {}
  ~HeldLock() override {
    MutexLock lock(&files_->mutex_);
    node_->locked = false;
  }

 private:
  FakeFileSystem* const files_;
  const std::shared_ptr<Node> node_;
};

FakeFileSystem::FakeFileSystem() = default;
FakeFileSystem::~FakeFileSystem() = default;

void FakeFileSystem::SetFault(const Fault& fault) {
  MutexLock lock(&mutex_);
  fault_ = fault;
  counted_ = 0;
  if (fault.name.empty()) counted_ = static_cast<int64_t>(calls_.size());
}

void FakeFileSystem::SetWatcher(std::function<void(const std::string& call)> watcher) {
  MutexLock lock(&mutex_);
  watcher_ = std::move(watcher);
}

void FakeFileSystem::HaltAt(int64_t call) {
  MutexLock lock(&mutex_);
  halt_at_ = call;
}

void FakeFileSystem::SetRoom(int64_t bytes) {
  MutexLock lock(&mutex_);
  room_ = bytes;
}

std::vector<std::string> FakeFileSystem::calls() const {
  MutexLock lock(&mutex_);
  return calls_;
}

int64_t FakeFileSystem::bytes() const {
  MutexLock lock(&mutex_);
  return BytesNow();
}

int64_t FakeFileSystem::BytesNow() const {
  int64_t bytes = 0;
  for (const auto& [path, node] : seen_) bytes += static_cast<int64_t>(node->file.seen().size());
  return bytes;
}

bool FakeFileSystem::IsHalted() const { return static_cast<int64_t>(calls_.size()) >= halt_at_; }

int FakeFileSystem::Begin(absl::string_view name, const std::string& path) {
  calls_.push_back(absl::StrCat(name, " ", path));
  if (watcher_) watcher_(calls_.back());
  if (fault_.name.empty() || fault_.name == name) ++counted_;
  if (IsHalted()) return EIO;
  if (fault_.call == 0 || (!fault_.name.empty() && fault_.name != name)) return 0;
  const bool fails = fault_.lasting ? counted_ >= fault_.call : counted_ == fault_.call;
  return fails ? fault_.error : 0;
}

std::shared_ptr<FakeFileSystem::Node> FakeFileSystem::Find(const std::string& path) const {
  const auto found = seen_.find(path);
  return found == seen_.end() ? nullptr : found->second;
}

int FakeFileSystem::CheckParent(const std::string& path) const {
  const std::string parent = ParentOf(path);
  if (parent.empty()) return 0;
  const std::shared_ptr<Node> node = Find(parent);
  if (node == nullptr) return ENOENT;
  return node->is_directory ? 0 : ENOTDIR;
}

bool FakeFileSystem::HasEntries(const std::string& directory) const {
  const auto next = seen_.lower_bound(absl::StrCat(directory, "/"));
  return next != seen_.end() && absl::StartsWith(next->first, absl::StrCat(directory, "/"));
}

void FakeFileSystem::Apply(const NameChange& change, Tree* tree) {
  if (change.removed.empty()) {
    (*tree)[change.added] = change.node;
    return;
  }
  // What is in a directory goes with it.
  Tree moved;
  const std::string inside = absl::StrCat(change.removed, "/");
  for (auto entry = tree->begin(); entry != tree->end();) {
    if (entry->first != change.removed && !absl::StartsWith(entry->first, inside)) {
      ++entry;
      continue;
    }
    const std::string rest = entry->first.substr(change.removed.size());
    if (!change.added.empty()) moved[absl::StrCat(change.added, rest)] = entry->second;
    entry = tree->erase(entry);
  }
  // Also where the name that was removed has never been on the disk.
  if (!change.added.empty()) moved[change.added] = change.node;
  for (auto& [path, node] : moved) (*tree)[path] = std::move(node);
}

void FakeFileSystem::Change(NameChange change) {
  Apply(change, &seen_);
  pending_.push_back(std::move(change));
}

absl::StatusOr<std::unique_ptr<WritableFile>> FakeFileSystem::Create(const std::string& path) {
  const std::string plain = Plain(path);
  MutexLock lock(&mutex_);
  int error = Begin("create", plain);
  if (error == 0) error = CheckParent(plain);
  if (error == 0 && Find(plain) != nullptr) error = EEXIST;
  if (error != 0) return FileSystemError("create", path, error);
  auto node = std::make_shared<Node>();
  Change({"", plain, node});
  return std::make_unique<OpenToWrite>(this, std::move(node), plain);
}

absl::StatusOr<std::unique_ptr<WritableFile>> FakeFileSystem::OpenToAppend(
    const std::string& path) {
  const std::string plain = Plain(path);
  MutexLock lock(&mutex_);
  int error = Begin("append", plain);
  std::shared_ptr<Node> node = Find(plain);
  if (error == 0 && node == nullptr) error = ENOENT;
  if (error == 0 && node->is_directory) error = EISDIR;
  if (error != 0) return FileSystemError("open", path, error);
  return std::make_unique<OpenToWrite>(this, std::move(node), plain);
}

absl::StatusOr<std::unique_ptr<ReadableFile>> FakeFileSystem::OpenToRead(const std::string& path) {
  const std::string plain = Plain(path);
  MutexLock lock(&mutex_);
  int error = Begin("open", plain);
  std::shared_ptr<Node> node = Find(plain);
  if (error == 0 && node == nullptr) error = ENOENT;
  if (error == 0 && node->is_directory) error = EISDIR;
  if (error != 0) return FileSystemError("open", path, error);
  return std::make_unique<OpenFile>(this, std::move(node), plain);
}

absl::Status FakeFileSystem::Write(Node* node, const std::string& path, int64_t* size,
                                   absl::Span<const absl::string_view> pieces) {
  std::string data;
  for (const absl::string_view piece : pieces) absl::StrAppend(&data, piece);
  MutexLock lock(&mutex_);
  int error = Begin("write", path);
  if (IsHalted()) return FileSystemError("write", path, error);
  const auto offset = static_cast<size_t>(*size);
  const int64_t grows = std::max<int64_t>(
      *size + static_cast<int64_t>(data.size()) - static_cast<int64_t>(node->file.seen().size()),
      0);
  const int64_t too_many = BytesNow() + grows - room_;
  if (error == 0 && grows > 0 && too_many > 0) {
    const auto fit = std::max<int64_t>(static_cast<int64_t>(data.size()) - too_many, 0);
    data.resize(static_cast<size_t>(fit));
    error = ENOSPC;
  } else if (error != 0) {
    data.resize(data.size() / 2);
  }
  if (!data.empty()) node->file.Write(offset, data);
  if (error != 0) return FileSystemError("write", path, error);
  *size += static_cast<int64_t>(data.size());
  return absl::OkStatus();
}

absl::Status FakeFileSystem::TruncateFile(Node* node, const std::string& path, int64_t size) {
  MutexLock lock(&mutex_);
  const int error = Begin("truncate", path);
  if (error != 0) return FileSystemError("shorten", path, error);
  node->file.Truncate(static_cast<size_t>(size));
  return absl::OkStatus();
}

absl::Status FakeFileSystem::SyncFile(Node* node, const std::string& path) {
  MutexLock lock(&mutex_);
  const int error = Begin("sync", path);
  if (error == 0) {
    node->file.Sync();
    return absl::OkStatus();
  }
  if (!IsHalted()) node->file.FailSync();
  return FileSystemError("sync", path, error);
}

absl::Status FakeFileSystem::Rename(const std::string& from, const std::string& to) {
  const std::string plain = Plain(from);
  const std::string plain_to = Plain(to);
  MutexLock lock(&mutex_);
  int error = Begin("rename", plain);
  const std::shared_ptr<Node> node = Find(plain);
  const std::shared_ptr<Node> replaced = Find(plain_to);
  if (error == 0 && node == nullptr) error = ENOENT;
  if (error == 0) error = CheckParent(plain_to);
  if (error == 0 && replaced != nullptr) {
    if (node->is_directory && !replaced->is_directory) error = ENOTDIR;
    if (!node->is_directory && replaced->is_directory) error = EISDIR;
    if (error == 0 && replaced->is_directory && HasEntries(plain_to)) error = ENOTEMPTY;
  }
  if (error != 0) return FileSystemError("rename", absl::StrCat(from, " to ", to), error);
  if (plain != plain_to) Change({plain, plain_to, node});
  return absl::OkStatus();
}

absl::Status FakeFileSystem::Remove(const std::string& path) {
  const std::string plain = Plain(path);
  MutexLock lock(&mutex_);
  int error = Begin("remove", plain);
  const std::shared_ptr<Node> node = Find(plain);
  if (error == 0 && node == nullptr) error = ENOENT;
  if (error == 0 && node->is_directory) error = EISDIR;
  if (error != 0) return FileSystemError("remove", path, error);
  Change({plain, "", nullptr});
  return absl::OkStatus();
}

absl::Status FakeFileSystem::CreateDirectory(const std::string& path) {
  const std::string plain = Plain(path);
  MutexLock lock(&mutex_);
  int error = Begin("mkdir", plain);
  if (error == 0) error = CheckParent(plain);
  const std::shared_ptr<Node> there = Find(plain);
  if (error == 0 && there != nullptr && !there->is_directory) error = ENOTDIR;
  if (error != 0) return FileSystemError("create directory", path, error);
  if (there != nullptr) return absl::OkStatus();
  auto node = std::make_shared<Node>();
  node->is_directory = true;
  Change({"", plain, std::move(node)});
  return absl::OkStatus();
}

absl::Status FakeFileSystem::RemoveDirectory(const std::string& path) {
  const std::string plain = Plain(path);
  MutexLock lock(&mutex_);
  int error = Begin("rmdir", plain);
  const std::shared_ptr<Node> node = Find(plain);
  if (error == 0 && node == nullptr) error = ENOENT;
  if (error == 0 && !node->is_directory) error = ENOTDIR;
  if (error == 0 && HasEntries(plain)) error = ENOTEMPTY;
  if (error != 0) return FileSystemError("remove directory", path, error);
  Change({plain, "", nullptr});
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> FakeFileSystem::List(const std::string& directory) {
  const std::string plain = Plain(directory);
  MutexLock lock(&mutex_);
  int error = Begin("list", plain);
  const std::shared_ptr<Node> node = Find(plain);
  if (error == 0 && node == nullptr && !plain.empty()) error = ENOENT;
  if (error == 0 && node != nullptr && !node->is_directory) error = ENOTDIR;
  if (error != 0) return FileSystemError("list", directory, error);
  std::vector<std::string> names;
  for (const auto& [path, entry] : seen_) {
    if (ParentOf(path) != plain) continue;
    names.push_back(plain.empty() ? path : path.substr(plain.size() + 1));
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status FakeFileSystem::SyncDirectory(const std::string& directory) {
  const std::string plain = Plain(directory);
  MutexLock lock(&mutex_);
  int error = Begin("syncdir", plain);
  const std::shared_ptr<Node> node = Find(plain);
  if (error == 0 && node == nullptr && !plain.empty()) error = ENOENT;
  if (error == 0 && node != nullptr && !node->is_directory) error = ENOTDIR;
  if (error != 0) return FileSystemError("sync directory", directory, error);
  std::vector<NameChange> others;
  for (NameChange& change : pending_) {
    const bool is_in = (!change.removed.empty() && ParentOf(change.removed) == plain) ||
                       (!change.added.empty() && ParentOf(change.added) == plain);
    if (is_in) {
      Apply(change, &durable_);
    } else {
      others.push_back(std::move(change));
    }
  }
  pending_ = std::move(others);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<FileLock>> FakeFileSystem::Lock(const std::string& path) {
  const std::string plain = Plain(path);
  MutexLock lock(&mutex_);
  int error = Begin("lock", plain);
  if (error == 0) error = CheckParent(plain);
  std::shared_ptr<Node> node = Find(plain);
  if (error == 0 && node != nullptr && node->is_directory) error = EISDIR;
  if (error != 0) return FileSystemError("lock", path, error);
  if (node == nullptr) {
    node = std::make_shared<Node>();
    Change({"", plain, node});
  }
  if (node->locked) return InUseError(path);
  node->locked = true;
  return std::make_unique<HeldLock>(this, std::move(node));
}

std::string FakeFileSystem::Contents(const std::string& path) const {
  MutexLock lock(&mutex_);
  const std::shared_ptr<Node> node = Find(Plain(path));
  if (node == nullptr) throw std::out_of_range(path);
  return node->file.seen();
}

void FakeFileSystem::SetContents(const std::string& path, const std::string& data) {
  MutexLock lock(&mutex_);
  auto node = std::make_shared<Node>();
  node->file = FakeFile(data);
  seen_[Plain(path)] = node;
  durable_[Plain(path)] = node;
}

std::unique_ptr<FakeFileSystem> FakeFileSystem::AfterCrash(uint64_t seed) const {
  return After(Pending::kSome, seed);
}

std::unique_ptr<FakeFileSystem> FakeFileSystem::WithoutPending() const {
  return After(Pending::kLost, 0);
}

std::unique_ptr<FakeFileSystem> FakeFileSystem::WithPending() const {
  return After(Pending::kKept, 0);
}

std::unique_ptr<FakeFileSystem> FakeFileSystem::After(Pending pending, uint64_t seed) const {
  std::mt19937_64 random(seed);
  MutexLock lock(&mutex_);
  Tree names = durable_;
  std::map<std::string, bool> goes_on;  // For each directory: whether its next change is there.
  for (const NameChange& change : pending_) {
    const std::string directory = ParentOf(change.added.empty() ? change.removed : change.added);
    bool& there = goes_on.emplace(directory, pending != Pending::kLost).first->second;
    if (pending == Pending::kSome && there) there = random() % 3 != 0;
    if (there) Apply(change, &names);
  }
  auto left = std::make_unique<FakeFileSystem>();
  MutexLock left_lock(&left->mutex_);
  for (const auto& [path, node] : names) {
    // What lies in a directory that is not there is lost; they are ordered before it.
    const std::string parent = ParentOf(path);
    if (!parent.empty() && left->seen_.count(parent) == 0) continue;
    auto copy = std::make_shared<Node>();
    copy->is_directory = node->is_directory;
    switch (pending) {
      case Pending::kLost:
        copy->file = FakeFile(node->file.durable());
        break;
      case Pending::kKept:
        copy->file = FakeFile(node->file.WithAllPending());
        break;
      case Pending::kSome:
        copy->file = FakeFile(node->file.AfterCrash(&random));
    }
    left->seen_[path] = copy;
    left->durable_[path] = std::move(copy);
  }
  return left;
}

}  // namespace gradd

#ifndef GRADD_TESTS_SUPPORT_FAKE_FILE_SYSTEM_H_
#define GRADD_TESTS_SUPPORT_FAKE_FILE_SYSTEM_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/file_system.h"
#include "core/base/mutex.h"
#include "tests/support/fake_file.h"

namespace gradd {

// A file system in memory that fails when it is told to, and knows what is left of it after a power
// failure.
//
// Paths with and without a slash in front mean the same; directories have to be there before what
// is in them. There are no links.
//
// Example: whatever call fails, nothing half-written is found.
//   for (int64_t call = 1;; ++call) {
//     FakeFileSystem files;
//     files.SetFault({call, EIO});
//     Save(&files);
//     if (files.calls().size() < call) break;  // All of them have been tried.
//     Check(files.AfterCrash(seed).get());
//   }
//
// Thread safe.
class FakeFileSystem final : public FileSystem {
 public:
  // What goes wrong. Calls are counted from 1; see calls().
  struct Fault {
    int64_t call = 0;
    int error = 0;         // Such as EIO or ENOSPC. A write then has written a part.
    bool lasting = false;  // All calls after it fail too.
    // Only calls of that name count, such as "write"; empty: all.
    std::string name = {};
  };

  FakeFileSystem();
  ~FakeFileSystem() override;

  // ---- What goes wrong ----

  void SetFault(const Fault& fault);
  // From that call on nothing happens any more, and all calls return EIO: what AfterCrash() is then
  // is what a power failure at that moment may leave.
  void HaltAt(int64_t call);
  // Writes fail with ENOSPC where all files together would have more bytes; what there is room for
  // is written.
  void SetRoom(int64_t bytes);

  // Is called within each call, as calls() has it; may not use this.
  void SetWatcher(std::function<void(const std::string& call)> watcher);

  // What was called so far, failed calls included: "create a/b", "write a/b", "truncate a/b", "sync
  // a/b", "append a/b" (opens it for that), "open a/b", "read a/b", "rename a/b", "remove a/b",
  // "mkdir a", "rmdir a", "list a", "syncdir a", "lock a".
  std::vector<std::string> calls() const;
  int64_t bytes() const;

  // ---- Power failures ----

  // What may be left when the power fails now, one of many possibilities. Names that were created,
  // renamed or removed in a directory since it was synced: the first few of these changes are
  // there, each of them whole. Data that was not synced: none, all, a prefix, or some pages, others
  // with zeros or garbage in them. What is not in `this` any more is gone, and everything that is
  // there is durable.
  std::unique_ptr<FakeFileSystem> AfterCrash(uint64_t seed) const;
  // Nothing of what was not synced is left; and all of it.
  std::unique_ptr<FakeFileSystem> WithoutPending() const;
  std::unique_ptr<FakeFileSystem> WithPending() const;

  // ---- For tests that look, or change what is there ----

  // All that a file has, whether or not that is durable. Throws std::out_of_range if there is none.
  std::string Contents(const std::string& path) const;
  // Makes or changes a file, durably.
  void SetContents(const std::string& path, const std::string& data);

  // ---- FileSystem ----

  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<WritableFile>> OpenToAppend(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<ReadableFile>> OpenToRead(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status CreateDirectory(const std::string& path) override;
  absl::Status RemoveDirectory(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  absl::Status SyncDirectory(const std::string& directory) override;
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override;

 private:
  // A file or a directory. Entries are by their whole paths, without a slash in front.
  struct Node {
    bool is_directory = false;
    FakeFile file;
    bool locked = false;
  };
  using Tree = std::map<std::string, std::shared_ptr<Node>>;
  // A change of names, as a whole. Names of what is in a directory move with it.
  struct NameChange {
    std::string removed;  // Empty: none is.
    std::string added;    // The same.
    std::shared_ptr<Node> node;
  };
  // What survives of each file.
  enum class Pending { kLost, kKept, kSome };
  class OpenToWrite;
  class OpenFile;
  class HeldLock;

  // Counts a call, and says how it fails; 0: it does not.
  int Begin(absl::string_view name, const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsHalted() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Null if there is no such thing.
  std::shared_ptr<Node> Find(const std::string& path) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // 0, or how what is to be in a directory cannot be there.
  int CheckParent(const std::string& path) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasEntries(const std::string& directory) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void Apply(const NameChange& change, Tree* tree);
  void Change(NameChange change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int64_t BytesNow() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Write(Node* node, const std::string& path, int64_t* size,
                     absl::Span<const absl::string_view> pieces);
  absl::Status TruncateFile(Node* node, const std::string& path, int64_t size);
  absl::Status SyncFile(Node* node, const std::string& path);
  std::unique_ptr<FakeFileSystem> After(Pending pending, uint64_t seed) const;

  mutable Mutex mutex_;
  Tree seen_ ABSL_GUARDED_BY(mutex_);
  Tree durable_ ABSL_GUARDED_BY(mutex_);
  std::vector<NameChange> pending_ ABSL_GUARDED_BY(mutex_);  // In their order.
  std::vector<std::string> calls_ ABSL_GUARDED_BY(mutex_);
  std::function<void(const std::string& call)> watcher_ ABSL_GUARDED_BY(mutex_);
  Fault fault_ ABSL_GUARDED_BY(mutex_);
  int64_t counted_ ABSL_GUARDED_BY(mutex_) = 0;  // Calls that count for the fault.
  int64_t halt_at_ ABSL_GUARDED_BY(mutex_) = std::numeric_limits<int64_t>::max();
  int64_t room_ ABSL_GUARDED_BY(mutex_) = std::numeric_limits<int64_t>::max();
};

}  // namespace gradd

#endif  // GRADD_TESTS_SUPPORT_FAKE_FILE_SYSTEM_H_

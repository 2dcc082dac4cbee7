#ifndef GRADD_TESTS_SUPPORT_FAKE_FILE_H_
#define GRADD_TESTS_SUPPORT_FAKE_FILE_H_

#include <cstddef>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace gradd {

// The data of a file of a FakeFileSystem: what programs see, what is on the disk, and what is on
// its way there.
class FakeFile {
 public:
  FakeFile() = default;
  // One whose data is all on the disk.
  explicit FakeFile(std::string data) : seen_(data), durable_(std::move(data)) {}

  // What whoever reads it sees.
  const std::string& seen() const { return seen_; }
  // What is on the disk for certain.
  const std::string& durable() const { return durable_; }

  void Write(size_t offset, absl::string_view data);
  void Truncate(size_t size);
  // What was written is on the disk.
  void Sync();
  // It could not be put there. The system holds it for written all the same, and shows it until it
  // is started anew: no later Sync() puts it on the disk.
  void FailSync() { pending_.clear(); }

  // What of it may be there after a power failure: of what was on its way, any part.
  std::string AfterCrash(std::mt19937_64* random) const;
  // The same where all of it was still put on the disk.
  std::string WithAllPending() const;

 private:
  struct Change {
    size_t offset;  // Or the size that it is cut to.
    std::string data;
    bool truncates;
  };
  static void Apply(const Change& change, std::string* data);

  std::string seen_;
  std::string durable_;
  std::vector<Change> pending_;  // In their order.
};

}  // namespace gradd

#endif  // GRADD_TESTS_SUPPORT_FAKE_FILE_H_

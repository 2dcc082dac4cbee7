#ifndef GRADD_CORE_BASE_SHARED_REGION_H_
#define GRADD_CORE_BASE_SHARED_REGION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace gradd {

// Anonymous memory that another process of the same host can map, by opening the file
// /proc/{pid}/fd/{file} of the process that made it. Its size is sealed: nobody can make it
// smaller, so reading it never faults, whatever the other side does. Pages take memory once they
// are touched. Immutable, so safe from any thread; what lies in it is not.
class SharedRegion {
 public:
  enum class Access {
    kPeerReads,   // Only this process can write, even if the other one opens the file anew.
    kPeerWrites,  // Both can, at any time.
  };

  // Makes a region of `bytes` >= 1, rounded up to whole pages, full of zeros. Fails with
  // RESOURCE_EXHAUSTED where the system has no files or address space left.
  static absl::StatusOr<std::shared_ptr<SharedRegion>> Create(int64_t bytes, Access access);
  ~SharedRegion();
  SharedRegion(const SharedRegion&) = delete;
  SharedRegion& operator=(const SharedRegion&) = delete;

  // Gives the pages from byte `begin` on their memory, so that writing there cannot fail. False if
  // the system has none left.
  bool Populate(int64_t begin, int64_t bytes) const;

  // Finds memory for pages and maps them here, all at once, which the first access to each of them
  // would otherwise do, one page fault at a time. Advice: what cannot be done now is done then.
  void FaultIn(int64_t begin, int64_t bytes) const;

  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  int file() const { return file_; }

  // Tells this region from any other file: part of its name, which /proc shows.
  const std::string& token() const { return token_; }

 private:
  SharedRegion(int file, std::byte* data, int64_t bytes, std::string token);

  const int file_;
  std::byte* const data_;
  const int64_t bytes_;
  const std::string token_;
};

// Pages are the unit in which regions are mapped.
int64_t PageBytes();
int64_t RoundUpToPages(int64_t bytes);

}  // namespace gradd

#endif  // GRADD_CORE_BASE_SHARED_REGION_H_

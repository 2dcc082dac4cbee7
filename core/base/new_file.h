#ifndef GRADD_CORE_BASE_NEW_FILE_H_
#define GRADD_CORE_BASE_NEW_FILE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace gradd {

// A file that is there under its name when it is complete, and not at all before: written beside it
// under another name, then renamed. The other name is new, so that nobody can have put anything in
// its place, such as a link to a file elsewhere. Where `path` itself is a link, the file that it
// leads to is written, whether or not that is there already.
//
// Errors are FAILED_PRECONDITION with the reason FILE.
class NewFile {
 public:
  // Fails where the file could not be written, before anything is known about its contents.
  static absl::StatusOr<std::unique_ptr<NewFile>> Create(const std::string& path);

  // Removes what was written, unless Commit() returned OK.
  ~NewFile();

  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  // Where it will be: absolute, without symbolic links.
  const std::string& target() const { return target_; }

  absl::Status Write(absl::string_view data);
  // Forgets what was written.
  absl::Status Restart();

  // Makes the contents durable and gives the file its name, in place of any file that has it.
  absl::Status Commit();

 private:
  NewFile(std::string path, std::string target, std::string temporary, int descriptor);
  absl::Status IoError(absl::string_view what) const;

  const std::string path_;  // As it was given.
  const std::string target_;
  const std::string temporary_;
  int descriptor_;
  bool committed_ = false;
};

}  // namespace gradd

#endif  // GRADD_CORE_BASE_NEW_FILE_H_

#include "core/durability/state_directory.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "core/durability/log_segment.h"
#include "core/run/run_spec.h"

namespace gradd {
namespace {

constexpr absl::string_view kDirectoryFormat = "gradd state directory, format 1\n";

absl::Status Refuse(absl::string_view path, absl::string_view why) {
  return Error(absl::StatusCode::kFailedPrecondition, "STATE_DIRECTORY",
               absl::StrCat(path, ": ", why));
}

// The directory that it is in.
std::string ParentOf(absl::string_view path) {
  while (path.size() > 1 && absl::ConsumeSuffix(&path, "/")) {
  }
  const size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) return ".";
  return slash == 0 ? "/" : std::string(path.substr(0, slash));
}

}  // namespace

absl::StatusOr<std::unique_ptr<StateDirectory>> StateDirectory::Open(FileSystem* files,
                                                                     std::string path) {
  const bool is_new = files->List(path).status().code() == absl::StatusCode::kNotFound;
  GRADD_RETURN_IF_ERROR(files->CreateDirectory(path));
  // An earlier server may have made it and come no further; one that people have made may lie where
  // only they may read.
  const absl::Status named = files->SyncDirectory(ParentOf(path));
  if (is_new) GRADD_RETURN_IF_ERROR(named);
  const auto names = files->List(path);
  GRADD_RETURN_IF_ERROR(names.status());
  const bool is_ours =
      names->empty() || std::find(names->begin(), names->end(), "lock") != names->end();
  if (!is_ours) {
    return Refuse(path, absl::StrCat("there are files of somebody else, such as ",
                                     Quoted((*names)[0]), "; an empty or new directory expected"));
  }
  auto lock = files->Lock(absl::StrCat(path, "/lock"));
  GRADD_RETURN_IF_ERROR(lock.status());
  std::unique_ptr<StateDirectory> directory(
      new StateDirectory(files, std::move(path), *std::move(lock)));
  GRADD_RETURN_IF_ERROR(directory->CheckFormat());
  for (const char* const below : {"/runs", "/deleted"}) {
    GRADD_RETURN_IF_ERROR(files->CreateDirectory(absl::StrCat(directory->path_, below)));
  }
  GRADD_RETURN_IF_ERROR(files->SyncDirectory(directory->path_));
  return directory;
}

absl::Status StateDirectory::CheckFormat() const {
  const std::string path = absl::StrCat(path_, "/format");
  const auto file = files_.OpenToRead(path);
  if (file.ok()) {
    std::string found(static_cast<size_t>(std::min<int64_t>((*file)->size(), 100)), '\0');
    GRADD_RETURN_IF_ERROR((*file)->Read(0, static_cast<int64_t>(found.size()), found.data()));
    if (found == kDirectoryFormat &&
        (*file)->size() == static_cast<int64_t>(kDirectoryFormat.size())) {
      return absl::OkStatus();
    }
    return Refuse(path, absl::StrCat("it says ", Quoted(found), ", ", Quoted(kDirectoryFormat),
                                     " expected: of another gradd, or damaged"));
  }
  if (file.status().code() != absl::StatusCode::kNotFound) return file.status();
  const std::string temporary = absl::StrCat(path, kTemporarySuffix);
  const absl::Status removed = files_.Remove(temporary);
  if (!removed.ok() && removed.code() != absl::StatusCode::kNotFound) return removed;
  const auto written = files_.Create(temporary);
  GRADD_RETURN_IF_ERROR(written.status());
  GRADD_RETURN_IF_ERROR((*written)->Append({kDirectoryFormat}));
  GRADD_RETURN_IF_ERROR((*written)->Sync());
  return files_.Rename(temporary, path);
}

std::shared_ptr<const RunFolder> StateDirectory::FolderOf(const std::string& run_id) const {
  return std::make_shared<RunFolder>(&files_, path_, run_id);
}

absl::StatusOr<std::vector<std::string>> StateDirectory::RunIds() const {
  auto names = files_.List(absl::StrCat(path_, "/runs"));
  GRADD_RETURN_IF_ERROR(names.status());
  names->erase(std::remove_if(names->begin(), names->end(),
                              [](const std::string& name) { return !ValidateRunId(name).ok(); }),
               names->end());
  return names;
}

void StateDirectory::RemoveBuried() const {
  const auto uids = files_.List(absl::StrCat(path_, "/deleted"));
  if (!uids.ok()) return;
  for (const std::string& uid : *uids) {
    RunFolder(&files_, path_, "").RemoveBuried(uid).IgnoreError();  // The next server tries again.
  }
}

}  // namespace gradd

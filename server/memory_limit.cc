#include "server/memory_limit.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"

namespace gradd {
namespace {

// Lowers `limit` to the number in the file; other contents, such as `max`, are no limit.
void LowerTo(const std::string& path, int64_t* limit) {
  std::ifstream file(path);
  std::string text;
  int64_t bytes = 0;
  if (file >> text && absl::SimpleAtoi(text, &bytes) && bytes > 0) {
    *limit = std::min(*limit, bytes);
  }
}

}  // namespace

int64_t MemoryLimitBytes(const std::string& root) {
  int64_t limit = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  rlimit space = {};
  if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur < static_cast<rlim_t>(limit)) {
    limit = static_cast<int64_t>(space.rlim_cur);
  }
  const std::string groups = root + "/sys/fs/cgroup";
  std::ifstream membership(root + "/proc/self/cgroup");
  for (std::string line; std::getline(membership, line);) {
    if (!absl::StartsWith(line, "0::/")) continue;
    // The group and those above it: `/a/b`, `/a`.
    for (std::string group = line.substr(3); !group.empty(); group.resize(group.rfind('/'))) {
      LowerTo(groups + group + "/memory.max", &limit);
    }
  }
  LowerTo(groups + "/memory.max", &limit);
  LowerTo(groups + "/memory/memory.limit_in_bytes", &limit);
  return limit;
}

}  // namespace gradd

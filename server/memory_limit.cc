#include "server/memory_limit.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace gradd {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

// A tree of control groups that may limit memory.
struct Hierarchy {
  int version;
  std::string group;  // The one at the mount point, which a container does not see as "/".
  std::string mount_point;
};

std::vector<Hierarchy> ReadHierarchies(const std::string& root) {
  std::ifstream mounts(root + "/proc/self/mountinfo");
  if (!mounts) return {{2, "/", "/sys/fs/cgroup"}, {1, "/", "/sys/fs/cgroup/memory"}};
  std::vector<Hierarchy> found;
  // 35 23 0:29 /docker/1a /sys/fs/cgroup/memory rw shared:1 - cgroup cgroup rw,memory
  for (std::string line; std::getline(mounts, line);) {
    const std::vector<absl::string_view> halves = absl::StrSplit(line, absl::MaxSplits(" - ", 1));
    if (halves.size() != 2) continue;
    const std::vector<std::string> mount = absl::StrSplit(halves[0], ' ');
    const std::vector<absl::string_view> system = absl::StrSplit(halves[1], ' ');
    if (mount.size() < 5 || system.size() < 3) continue;
    if (system[0] == "cgroup2") found.push_back({2, mount[3], mount[4]});
    if (system[0] == "cgroup" &&
        absl::c_linear_search(absl::StrSplit(system[2], ','), absl::string_view("memory"))) {
      found.push_back({1, mount[3], mount[4]});
    }
  }
  return found;
}

// The process's group in trees of that version, as "/a/b"; empty if it is in none.
std::string ReadGroup(const std::string& root, int version) {
  std::ifstream membership(root + "/proc/self/cgroup");
  // 0::/a/b in version 2, 4:memory:/a/b in version 1.
  for (std::string line; std::getline(membership, line);) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    const bool memory =
        absl::c_linear_search(absl::StrSplit(fields[1], ','), absl::string_view("memory"));
    if (version == 2 ? fields[0] == "0" && fields[1].empty() : memory) {
      return std::string(fields[2]);
    }
  }
  return "";
}

// Lowers `limit` to the number in the file; other contents, such as `max`, are no limit.
void LowerTo(const std::string& path, int64_t* limit) {
  std::ifstream file(path);
  std::string text;
  int64_t bytes = 0;
  if (file >> text && absl::SimpleAtoi(text, &bytes) && bytes > 0) {
    *limit = std::min(*limit, bytes);
  }
}

void LowerToGroups(const std::string& root, const Hierarchy& hierarchy, int64_t* limit) {
  const std::string file = hierarchy.version == 2 ? "/memory.max" : "/memory.limit_in_bytes";
  std::string group = ReadGroup(root, hierarchy.version);
  // Below what is mounted; from within a container, the path may also be the host's.
  if (hierarchy.group != "/" && absl::StartsWith(group, hierarchy.group)) {
    group = group.substr(hierarchy.group.size());
  }
  while (absl::EndsWith(group, "/")) group.pop_back();
  // The group and those above it: "/a/b", "/a", "".
  for (bool more = true; more; group.resize(group.empty() ? 0 : group.rfind('/'))) {
    LowerTo(absl::StrCat(root, hierarchy.mount_point, group, file), limit);
    more = !group.empty();
  }
}

// All but the larger of a tenth and `least`; three quarters of what is little.
int64_t WithoutReserve(int64_t bytes, int64_t least) {
  return std::max(bytes - std::max(bytes / 10, least), bytes / 4 * 3);
}

}  // namespace

MemoryLimits ReadMemoryLimits(const std::string& root) {
  MemoryLimits limits;
  limits.memory_bytes = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  for (const Hierarchy& hierarchy : ReadHierarchies(root)) {
    LowerToGroups(root, hierarchy, &limits.memory_bytes);
  }
  rlimit space = {};
  if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur < (rlim_t{1} << 60)) {
    limits.address_space_bytes = static_cast<int64_t>(space.rlim_cur);
    int64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    limits.address_space_used_bytes = pages * sysconf(_SC_PAGESIZE);
  }
  return limits;
}

int64_t MemoryForRuns(const MemoryLimits& limits) {
  const int64_t memory = WithoutReserve(limits.memory_bytes, 64 * kMiB);
  if (limits.address_space_bytes == 0) return memory;
  const int64_t space =
      std::max(limits.address_space_bytes - limits.address_space_used_bytes, kMiB);
  return std::min(memory, WithoutReserve(space, 384 * kMiB));
}

}  // namespace gradd

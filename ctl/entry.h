#ifndef GRADD_CTL_ENTRY_H_
#define GRADD_CTL_ENTRY_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd::ctl {

// An optimizer that is compared with others.
struct Entry {
  std::string name;  // As it was written.
  v1::Optimizer optimizer;
  std::optional<double> rate;  // Unset: to be found.
  bool rate_is_own = false;    // Not given: that of a method which finds its step sizes itself.
};

// Understands `adam`, `adam:0.001`, `momentum:momentum=0.95,learning-rate=0.01`: the kind, and
// values as `gradctl create` takes them. A usage error, naming the entry, if one is wrong or if two
// are the same.
absl::StatusOr<std::vector<Entry>> ParseEntries(const std::vector<std::string>& texts);

// One of each kind, without values.
std::vector<Entry> AllEntries();

}  // namespace gradd::ctl

#endif  // GRADD_CTL_ENTRY_H_

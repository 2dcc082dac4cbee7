#ifndef GRADD_CTL_CLEARED_H_
#define GRADD_CTL_CLEARED_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gradd/v1/run.pb.h"

namespace gradd::ctl {

// Paths at or below `path` that are set in `before` and not in `after`: what a change of that field
// took away without naming it, as {"adam":{}} for `optimizer` takes the weight decay. The fields of
// another kind than `after` has are not among them.
std::vector<std::string> ClearedFields(const v1::Run& before, const v1::Run& after,
                                       absl::string_view path);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_CLEARED_H_

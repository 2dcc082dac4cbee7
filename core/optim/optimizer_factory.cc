#include "core/optim/optimizer_factory.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/optim/optimizer_families.h"

namespace gradd {
namespace {

// "sgd, momentum, ...": the kinds there are.
std::string Kinds() {
  std::string kinds;
  const auto* const kind = v1::Optimizer::descriptor()->FindOneofByName("kind");
  for (int i = 0; i < kind->field_count(); ++i) {
    absl::StrAppend(&kinds, i == 0 ? "" : ", ", kind->field(i)->name());
  }
  return kinds;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> MakeOptimizer(const v1::Optimizer& spec) {
  for (const auto make : {MakeFirstOrder, MakeAdaptive, MakeRateFree, MakeTensorNorm}) {
    auto optimizer = make(spec);
    if (!optimizer.ok() || *optimizer != nullptr) return optimizer;
  }
  return InvalidArgument("OPTIMIZER_MISSING",
                         absl::StrCat("optimizer: no kind is set, expected one of ", Kinds()));
}

}  // namespace gradd

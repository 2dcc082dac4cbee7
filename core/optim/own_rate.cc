#include "core/optim/own_rate.h"

namespace gradd {

std::optional<double> OwnRate(v1::Optimizer::KindCase kind) {
  switch (kind) {
    case v1::Optimizer::kAdaDelta:
    case v1::Optimizer::kDAdaptAdam:
    case v1::Optimizer::kProdigy:
    case v1::Optimizer::kDog:
    case v1::Optimizer::kDowg:
    case v1::Optimizer::kCocob:
      return 1;
    case v1::Optimizer::kRprop:
      return 0.01;  // As torch has it.
    default:
      return std::nullopt;
  }
}

}  // namespace gradd

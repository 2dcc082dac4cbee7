#include "core/optim/matrix.h"

namespace gradd {

void FixOrderOfProducts() {
  static const bool fixed = [] {
    Eigen::setCpuCacheSizes(32 << 10, 1 << 20, 8 << 20);
    return true;
  }();
  static_cast<void>(fixed);
}

}  // namespace gradd

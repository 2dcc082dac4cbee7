#include "worker/models/model.h"

#include <algorithm>

namespace gradd {

template <typename Scalar>
double Model<Scalar>::LossAndGradient(absl::Span<const Scalar> parameters,
                                      const BatchView<Scalar>& batch, absl::Span<Scalar> gradient) {
  std::fill(gradient.begin(), gradient.end(), Scalar{0});
  const double examples = static_cast<double>(batch.examples);
  return AddGradient(parameters, batch, static_cast<Scalar>(1 / examples), gradient) / examples;
}

template class Model<float>;
template class Model<double>;

}  // namespace gradd

#include "tests/support/specs.h"

namespace gradd {
namespace {

v1::Run Spec(int64_t elements) {
  v1::Run spec;
  v1::Tensor& tensor = *spec.mutable_layout()->add_tensors();
  tensor.set_name("w");
  tensor.add_shape(elements);
  spec.mutable_optimizer()->mutable_sgd();
  spec.mutable_schedule()->set_learning_rate(1);
  return spec;
}

}  // namespace

v1::Run SynchronousSpec(int64_t elements, int workers) {
  v1::Run spec = Spec(elements);
  spec.mutable_policy()->mutable_synchronous()->set_workers(workers);
  return spec;
}

v1::Run AsynchronousSpec(int64_t elements) {
  v1::Run spec = Spec(elements);
  spec.mutable_policy()->mutable_asynchronous();
  return spec;
}

}  // namespace gradd

#include "tests/support/specs.h"

#include <map>

#include "core/base/mutex.h"

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

Layout MatrixLayout(int64_t rows, int64_t row_elements) {
  v1::Layout layout;
  v1::Tensor& tensor = *layout.add_tensors();
  tensor.set_name("w");
  tensor.add_shape(rows);
  tensor.add_shape(row_elements);
  return *Layout::Create(layout, rows * row_elements);
}

const Layout& VectorLayout(int64_t elements) {
  static Mutex mutex;
  static auto* const layouts = new std::map<int64_t, Layout>;
  MutexLock lock(&mutex);
  return layouts->try_emplace(elements, MatrixLayout(elements, 1)).first->second;
}

}  // namespace gradd

#ifndef GRADD_TESTS_CORE_RUN_PAIRS_TINY_MODEL_H_
#define GRADD_TESTS_CORE_RUN_PAIRS_TINY_MODEL_H_

#include <cstddef>
#include <string>
#include <vector>

#include "gradd/v1/layout.pb.h"

namespace gradd {

// A tensor of the tiny model; matrices are as high and wide as the optimizers' references see them
// (TestShape).
struct TinyTensor {
  std::string name;
  size_t rows;  // 0: a vector.
  size_t columns;
  size_t begin;  // In the flat vector.
  size_t size() const { return (rows == 0 ? 1 : rows) * columns; }
};

// Three matrices and a vector, of 84 elements together. "still" lies between them and is never
// trained: it makes "middle" lie across the end of the first block, which has at least a tile.
inline constexpr size_t kLeft = 0;
inline constexpr size_t kStill = 1;
inline constexpr size_t kMiddle = 2;
inline constexpr size_t kBias = 3;
inline constexpr size_t kRight = 4;
inline constexpr size_t kTinyElements = 2093;

inline const std::vector<TinyTensor>& TinyTensors() {
  static const auto& tensors = *new std::vector<TinyTensor>{{"left", 4, 6, 0},
                                                            {"still", 0, 2009, 24},
                                                            {"middle", 5, 7, 2033},
                                                            {"bias", 0, 7, 2068},
                                                            {"right", 3, 6, 2075}};
  return tensors;
}

inline v1::Layout TinyLayout() {
  v1::Layout layout;
  for (const TinyTensor& tensor : TinyTensors()) {
    v1::Tensor& message = *layout.add_tensors();
    message.set_name(tensor.name);
    if (tensor.rows > 0) message.add_shape(static_cast<int64_t>(tensor.rows));
    message.add_shape(static_cast<int64_t>(tensor.columns));
    message.mutable_initializer()->mutable_uniform()->set_low(-1);
    message.mutable_initializer()->mutable_uniform()->set_high(1);
  }
  return layout;
}

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_PAIRS_TINY_MODEL_H_

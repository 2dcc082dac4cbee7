#include "core/base/inner_products.h"

#include "core/base/multiversion.h"

namespace gradd {
namespace {

// Calls add(i, lane) for each of `size` elements, in order.
template <typename Add>
[[gnu::always_inline]] inline void ForEachLane(int64_t at, int64_t size, const Add& add) {
  constexpr int64_t kLanes = ProductSum::kLanes;
  int64_t i = 0;
  if (const int64_t first = at % kLanes; first != 0) {
    for (int64_t lane = first; lane < kLanes && i < size; ++lane, ++i) add(i, lane);
  }
  for (; i + kLanes <= size; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) add(i + lane, lane);
  }
  for (int64_t lane = 0; i < size; ++lane, ++i) add(i, lane);
}

}  // namespace

// Sums are worked on as copies: nothing else may point to these, so that they stay in registers.

GRADD_MULTIVERSION_WIDE void AddProducts(int64_t at, const UnalignedFloat* a,
                                         const UnalignedFloat* b, int64_t size,
                                         ProductSum* products) {
  ProductSum sum = *products;
  ForEachLane(
      at, size, [&](int64_t i, int64_t lane) __attribute__((always_inline)) {
        sum.Add(lane, static_cast<double>(a[i]) * static_cast<double>(b[i]));
      });
  *products = sum;
}

GRADD_MULTIVERSION_WIDE void AddSquares(int64_t at, const UnalignedFloat* values, int64_t size,
                                        ProductSum* squares) {
  ProductSum sum = *squares;
  ForEachLane(
      at, size, [&](int64_t i, int64_t lane) __attribute__((always_inline)) {
        const auto value = static_cast<double>(values[i]);
        sum.Add(lane, value * value);
      });
  *squares = sum;
}

GRADD_MULTIVERSION_WIDE void AddSquaresAndProducts(int64_t at, const UnalignedFloat* values,
                                                   const UnalignedFloat* others, int64_t size,
                                                   ProductSum* squares, ProductSum* products) {
  ProductSum square_sum = *squares;
  ProductSum product_sum = *products;
  ForEachLane(
      at, size, [&](int64_t i, int64_t lane) __attribute__((always_inline)) {
        const auto value = static_cast<double>(values[i]);
        square_sum.Add(lane, value * value);
        product_sum.Add(lane, value * static_cast<double>(others[i]));
      });
  *squares = square_sum;
  *products = product_sum;
}

}  // namespace gradd

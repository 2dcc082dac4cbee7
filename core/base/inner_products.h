#ifndef GRADD_CORE_BASE_INNER_PRODUCTS_H_
#define GRADD_CORE_BASE_INNER_PRODUCTS_H_

#include <cstdint>

#include "core/base/norms.h"
#include "core/base/unaligned_float.h"

namespace gradd {

// Sum of the products of two vectors' elements, or of one vector's squares, over a span of
// positions: in double, where the square of any float32 is in range and exact. Element i of the
// span goes to lane i % kLanes, in ascending order, and Sum() adds the lanes in an order of its
// own. So the bits depend on the elements and where in the span they are, and not on how often and
// with how many elements at a time it was added to; elements that are 0 may be left out.
using ProductSum = SumLanes<double, 16>;

// Adds the products of `size` elements, of which the first is element `at` >= 0 of the span. Each
// vector may lie at any address. The same bits on every processor.
void AddProducts(int64_t at, const UnalignedFloat* a, const UnalignedFloat* b, int64_t size,
                 ProductSum* products);

// The same for the squares of one vector.
void AddSquares(int64_t at, const UnalignedFloat* values, int64_t size, ProductSum* squares);

// Both, for `values` and `others`, reading `values` once.
void AddSquaresAndProducts(int64_t at, const UnalignedFloat* values, const UnalignedFloat* others,
                           int64_t size, ProductSum* squares, ProductSum* products);

}  // namespace gradd

#endif  // GRADD_CORE_BASE_INNER_PRODUCTS_H_

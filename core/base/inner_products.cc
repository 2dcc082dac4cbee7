#include "core/base/inner_products.h"

#include <algorithm>

#include "core/base/multiversion.h"
#include "core/base/prefetch.h"

namespace gradd {
namespace {

constexpr int64_t kLanes = ProductSum::kLanes;

// Whoever measures a vector while it is merged goes on with the next elements of it soon, and they
// are not in a cache yet. So they come while there is arithmetic to do, a line in each round: then
// measuring takes next to no time.
constexpr int64_t kAheadElements = 2 * kPageElements;

// Whole rounds over the lanes: `size` is a multiple of kLanes. Nothing but the loop, and on copies
// of the sums, to which nothing else points: otherwise they do not stay in vector registers. Not
// inlined, or the compiler takes the prefetch for a read beyond a part that is filled up.

[[gnu::noinline]] GRADD_MULTIVERSION_WIDE void AddRounds(const UnalignedFloat* a,
                                                         const UnalignedFloat* b, int64_t size,
                                                         ProductSum* products) {
  ProductSum sum = *products;
  for (int64_t i = 0; i < size; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      sum.Add(lane, static_cast<double>(a[i + lane]) * static_cast<double>(b[i + lane]));
    }
  }
  *products = sum;
}

[[gnu::noinline]] GRADD_MULTIVERSION_WIDE void AddRoundsOfBoth(const UnalignedFloat* values,
                                                               const UnalignedFloat* others,
                                                               int64_t size, ProductSum* squares,
                                                               ProductSum* products) {
  ProductSum square_sum = *squares;
  ProductSum product_sum = *products;
  for (int64_t i = 0; i < size; i += kLanes) {
    __builtin_prefetch(values + i + kAheadElements, /*rw=*/0, /*locality=*/2);
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const auto value = static_cast<double>(values[i + lane]);
      square_sum.Add(lane, value * value);
      product_sum.Add(lane, value * static_cast<double>(others[i + lane]));
    }
  }
  *squares = square_sum;
  *products = product_sum;
}

// Calls add(a, b, size) with whole rounds: what begins or ends within one is filled up with zeros.
template <typename AddWhole>
void InRounds(int64_t at, const UnalignedFloat* a, const UnalignedFloat* b, int64_t size,
              const AddWhole& add) {
  const auto add_part = [&](int64_t lane, int64_t begin, int64_t count) {
    float part_of_a[kLanes] = {};
    float part_of_b[kLanes] = {};
    for (int64_t i = 0; i < count; ++i) {
      part_of_a[lane + i] = a[begin + i];
      part_of_b[lane + i] = b[begin + i];
    }
    add(part_of_a, part_of_b, kLanes);
  };
  const int64_t lane = at % kLanes;
  const int64_t head = lane == 0 ? 0 : std::min(kLanes - lane, size);
  const int64_t rounds = (size - head) / kLanes * kLanes;
  const int64_t tail = size - head - rounds;
  if (head > 0) add_part(lane, 0, head);
  if (rounds > 0) add(a + head, b + head, rounds);
  if (tail > 0) add_part(0, head + rounds, tail);
}

}  // namespace

void AddProducts(int64_t at, const UnalignedFloat* a, const UnalignedFloat* b, int64_t size,
                 ProductSum* products) {
  InRounds(at, a, b, size,
           [products](const UnalignedFloat* of_a, const UnalignedFloat* of_b, int64_t count) {
             AddRounds(of_a, of_b, count, products);
           });
}

void AddSquares(int64_t at, const UnalignedFloat* values, int64_t size, ProductSum* squares) {
  AddProducts(at, values, values, size, squares);
}

void AddSquaresAndProducts(int64_t at, const UnalignedFloat* values, const UnalignedFloat* others,
                           int64_t size, ProductSum* squares, ProductSum* products) {
  InRounds(at, values, others, size,
           [=](const UnalignedFloat* of_values, const UnalignedFloat* of_others, int64_t count) {
             AddRoundsOfBoth(of_values, of_others, count, squares, products);
           });
}

}  // namespace gradd

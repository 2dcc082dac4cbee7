#include "core/optim/matrix_product.h"

#include <algorithm>

#include "core/base/multiversion.h"
#include "core/base/thread_pool.h"

// So that sums stay in registers.
#if defined(__clang__)
#define GRADD_UNROLL _Pragma("unroll")
#else
#define GRADD_UNROLL _Pragma("GCC unroll 16")
#endif

namespace gradd {
namespace {

// The compiler's vector of kBytes. It may be read from, and written to, an array of Scalar.
template <typename Scalar, int kBytes>
struct Vector {
  typedef Scalar Type  // NOLINT(modernize-use-using): attributes.
      __attribute__((vector_size(kBytes), aligned(alignof(Scalar)), may_alias));
  static constexpr int kLanes = kBytes / static_cast<int>(sizeof(Scalar));
};

// How a kernel's registers are used: kRows rows by kVectors vectors of sums, beside which one
// vector of the left matrix, kVectors of the right one and a product have room.
template <int kVectorBytes, int kRowsOfSums, int kVectorsOfSums>
struct Shape {
  static constexpr int kBytes = kVectorBytes;
  static constexpr int kRows = kRowsOfSums;
  static constexpr int kVectors = kVectorsOfSums;
};
using SseShape = Shape<16, 4, 2>;      // 16 registers. NEON's 32 could hold more.
using AvxShape = Shape<32, 6, 2>;      // 16 registers.
using Avx512Shape = Shape<64, 12, 2>;  // 32 registers.

}  // namespace

// All loops, inlined into a function that is compiled for one kind of processor.
template <typename Scalar>
struct ProductLoops {
  using Product = MatrixProduct<Scalar>;
  static constexpr int64_t kDepth = Product::kDepth;

  struct Arguments {
    MatrixView<Scalar> left;
    MatrixView<Scalar> right;
    bool symmetric;
    Scalar* out;
    Scalar* left_copy;
    Scalar* right_copy;
  };

  // Copies rows [begin, end) and [from, to) of the inner index, in panels of `width` rows, one
  // inner index after the other; missing rows are zeros.
  [[gnu::always_inline]] static void Pack(const MatrixView<Scalar>& matrix, int64_t begin,
                                          int64_t end, int64_t from, int64_t to, int64_t width,
                                          Scalar* copy) {
    for (int64_t panel = begin; panel < end; panel += width) {
      const int64_t count = std::min(width, end - panel);
      if (matrix.row_stride == 1) {
        for (int64_t k = from; k < to; ++k) {
          const Scalar* const source = matrix.data + panel + k * matrix.column_stride;
          for (int64_t r = 0; r < count; ++r) copy[(k - from) * width + r] = source[r];
        }
      } else {
        for (int64_t r = 0; r < count; ++r) {
          const Scalar* const source = matrix.data + (panel + r) * matrix.row_stride;
          for (int64_t k = from; k < to; ++k) {
            copy[(k - from) * width + r] = source[k * matrix.column_stride];
          }
        }
      }
      for (int64_t r = count; r < width; ++r) {
        for (int64_t k = from; k < to; ++k) copy[(k - from) * width + r] = 0;
      }
      copy += (to - from) * width;
    }
  }

  // The sums of a panel of the left by one of the right matrix, `depth` products each.
  template <typename Kernel>
  [[gnu::always_inline]] static void Sums(const Scalar* left, const Scalar* right, int64_t depth,
                                          Scalar* sums) {
    using Lanes = Vector<Scalar, Kernel::kBytes>;
    using V = typename Lanes::Type;
    V all[Kernel::kRows][Kernel::kVectors] = {};
    for (int64_t k = 0; k < depth; ++k) {
      const auto* const columns = reinterpret_cast<const V*>(right);
      GRADD_UNROLL
      for (int r = 0; r < Kernel::kRows; ++r) {
        GRADD_UNROLL
        for (int v = 0; v < Kernel::kVectors; ++v) all[r][v] += left[r] * columns[v];
      }
      left += Kernel::kRows;
      right += Kernel::kVectors * Lanes::kLanes;
    }
    for (int r = 0; r < Kernel::kRows; ++r) {
      for (int v = 0; v < Kernel::kVectors; ++v) {
        reinterpret_cast<V*>(sums)[r * Kernel::kVectors + v] = all[r][v];
      }
    }
  }

  template <typename Kernel>
  [[gnu::always_inline]] static void Run(const Arguments& a) {
    constexpr int64_t kRows = Kernel::kRows;
    constexpr int64_t kColumns = Kernel::kVectors * Vector<Scalar, Kernel::kBytes>::kLanes;
    static_assert(Product::kLeftRows % kRows == 0 && Product::kRightColumns % kColumns == 0);
    const int64_t rows = a.left.rows;
    const int64_t columns = a.right.columns;
    const int64_t depth = a.left.columns;
    const MatrixView<Scalar> right = a.right.Transposed();
    for (int64_t c0 = 0; c0 < columns; c0 += Product::kRightColumns) {
      const int64_t c1 = std::min(c0 + Product::kRightColumns, columns);
      for (int64_t k0 = 0; k0 < depth; k0 += kDepth) {
        const int64_t k1 = std::min(k0 + kDepth, depth);
        Pack(right, c0, c1, k0, k1, kColumns, a.right_copy);
        // Of a symmetric result, only what is on and below the diagonal.
        for (int64_t r0 = a.symmetric ? c0 / kRows * kRows : 0; r0 < rows;
             r0 += Product::kLeftRows) {
          const int64_t r1 = std::min(r0 + Product::kLeftRows, rows);
          Pack(a.left, r0, r1, k0, k1, kRows, a.left_copy);
          for (int64_t c = c0; c < c1; c += kColumns) {
            for (int64_t r = r0; r < r1; r += kRows) {
              const int64_t row_count = std::min(kRows, r1 - r);
              if (a.symmetric && r + row_count <= c) continue;
              alignas(64) Scalar sums[kRows * kColumns];
              Sums<Kernel>(a.left_copy + (r - r0) * (k1 - k0), a.right_copy + (c - c0) * (k1 - k0),
                           k1 - k0, sums);
              Store(sums, kColumns, row_count, std::min(kColumns, c1 - c), k0 == 0,
                    a.out + r * columns + c, columns);
            }
          }
        }
        ThreadPool::Yield();  // A product of large matrices takes seconds, this much milliseconds.
      }
    }
  }

  [[gnu::always_inline]] static void Store(const Scalar* sums, int64_t width, int64_t rows,
                                           int64_t columns, bool first, Scalar* out,
                                           int64_t stride) {
    for (int64_t r = 0; r < rows; ++r) {
      const Scalar* const from = sums + r * width;
      Scalar* const to = out + r * stride;
      if (first) {
        for (int64_t c = 0; c < columns; ++c) to[c] = from[c];
      } else {
        for (int64_t c = 0; c < columns; ++c) to[c] += from[c];
      }
    }
  }
};

namespace {

// The kernel for the processors that the whole program is compiled for.
#if defined(__AVX512F__)
using BaseShape = Avx512Shape;
#elif defined(__AVX2__)
using BaseShape = AvxShape;
#else
using BaseShape = SseShape;
#endif

template <typename Scalar>
using Arguments = typename ProductLoops<Scalar>::Arguments;

template <typename Scalar>
void RunBase(const Arguments<Scalar>& arguments) {
  ProductLoops<Scalar>::template Run<BaseShape>(arguments);
}

#ifdef GRADD_RUNTIME_KERNELS
template <typename Scalar>
__attribute__((target("avx2"))) void RunAvx(const Arguments<Scalar>& arguments) {
  ProductLoops<Scalar>::template Run<AvxShape>(arguments);
}
template <typename Scalar>
__attribute__((target("avx512f"))) void RunAvx512(const Arguments<Scalar>& arguments) {
  ProductLoops<Scalar>::template Run<Avx512Shape>(arguments);
}
#endif

template <typename Scalar>
auto BestKernel() {
#ifdef GRADD_RUNTIME_KERNELS
  if (__builtin_cpu_supports("avx512f")) return RunAvx512<Scalar>;
  if (__builtin_cpu_supports("avx2")) return RunAvx<Scalar>;
#endif
  return RunBase<Scalar>;
}

// In squares that stay in the first-level cache, of which a matrix's rows may be far apart.
template <typename Visit>
void ForEachSquare(int64_t rows, int64_t columns, const Visit& visit) {
  constexpr int64_t kSide = 32;
  for (int64_t r = 0; r < rows; r += kSide) {
    for (int64_t c = 0; c < columns; c += kSide) {
      visit(r, std::min(r + kSide, rows), c, std::min(c + kSide, columns));
    }
  }
}

}  // namespace

template <typename Scalar>
void MatrixProduct<Scalar>::Run(const MatrixView<Scalar>& left, const MatrixView<Scalar>& right,
                                bool symmetric, Scalar* out) const {
  static const auto kernel = BestKernel<Scalar>();
  kernel({left, right, symmetric, out, left_, right_});
  if (!symmetric) return;
  const int64_t side = left.rows;
  ForEachSquare(side, side, [&](int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
    for (int64_t r = r0; r < r1; ++r) {
      for (int64_t c = std::max(c0, r + 1); c < c1; ++c) out[r * side + c] = out[c * side + r];
    }
  });
}

template <typename Scalar>
void Transpose(const Scalar* from, int64_t rows, int64_t columns, Scalar* to) {
  ForEachSquare(rows, columns, [&](int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
    for (int64_t r = r0; r < r1; ++r) {
      for (int64_t c = c0; c < c1; ++c) to[c * rows + r] = from[r * columns + c];
    }
  });
}

template class MatrixProduct<float>;
template class MatrixProduct<double>;
template void Transpose(const float*, int64_t, int64_t, float*);
template void Transpose(const double*, int64_t, int64_t, double*);

}  // namespace gradd

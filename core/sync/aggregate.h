#ifndef GRADD_CORE_SYNC_AGGREGATE_H_
#define GRADD_CORE_SYNC_AGGREGATE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "core/store/gradient_reader.h"
#include "core/store/slot.h"
#include "core/sync/staged_push.h"

namespace gradd {

// What several complete pushes are together: their sum, each multiplied with its coefficient. The
// products are rounded to float32 and added in the order of `pushes`, so the result depends on
// nothing but the pushes, the coefficients and their order. A single push with the coefficient 1 is
// taken as it is. A push has no part in the sum for rows that it has not; where that is asked, rows
// that no push has are missing in the sum, instead of zeros.
//
// Thread safe. Holds the pushes.
class Aggregate {
 public:
  // At least one push, all of the same length, and a coefficient for each. `lazy` says for which
  // tensors missing rows stay missing.
  Aggregate(
      std::vector<std::shared_ptr<const StagedPush>> pushes, std::vector<float> coefficients,
      StagedPush::Lazy lazy = [](int64_t) { return false; });

  // Whether rows may be missing.
  bool has_lazy_rows() const { return has_lazy_rows_; }

  // Of so many pushes or fewer, the readers allocate nothing.
  static constexpr size_t kInlineReaders = 16;

  // Reads the sum from some element on, in order.
  class Reader final : public GradientReader {
   public:
    Reader(const Aggregate& aggregate, int64_t begin);

    const UnalignedFloat* Next(int64_t size) override;

   private:
    const Aggregate& aggregate_;
    absl::InlinedVector<StagedPush::Reader, kInlineReaders> readers_;
    alignas(64) std::array<float, kTileElements> sum_;
    alignas(64) std::array<float, kTileElements> scratch_;
  };

  // Reads what is not missing of the sum, from some element on.
  class SpanReader final : public gradd::SpanReader {
   public:
    SpanReader(const Aggregate& aggregate, int64_t begin);

    int64_t Seek(int64_t end) override;
    // All elements up to `end` or the next gap, at most kTileElements: where chunks end makes no
    // difference.
    Span Next(int64_t end) override;

   private:
    // Whether a push has element `at`, and up to where all that have it go on.
    struct Cover {
      bool any = false;
      int64_t end = 0;
    };
    Cover CoverAt(int64_t at, int64_t end);

    const Aggregate& aggregate_;
    int64_t at_;
    absl::InlinedVector<StagedPush::SpanReader, kInlineReaders> readers_;
    alignas(64) std::array<float, kTileElements> sum_;
    alignas(64) std::array<float, kTileElements> scratch_;
  };

 private:
  // Whether the sum is one push as it is.
  bool is_one_push() const { return pushes_.size() == 1 && coefficients_[0] == 1; }

  const std::vector<std::shared_ptr<const StagedPush>> pushes_;
  const std::vector<float> coefficients_;
  const StagedPush::Lazy lazy_;
  bool has_lazy_rows_ = false;
};

}  // namespace gradd

#endif  // GRADD_CORE_SYNC_AGGREGATE_H_

#ifndef GRADD_CORE_STEP_PUSH_METER_H_
#define GRADD_CORE_STEP_PUSH_METER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/inner_products.h"
#include "core/base/memory_budget.h"
#include "core/base/unaligned_float.h"
#include "core/optim/partition.h"
#include "core/optim/scratch_pool.h"
#include "core/step/measurements.h"
#include "core/sync/staged_push.h"

namespace gradd {

// Measures pushes. Every sum is taken by piece first (Partition::Piece), as the norms of a step
// are, by ProductSum, in which the place of an element decides about where it is added; then over
// the pieces, in their order. So what is measured in parts, by several servers too, comes to the
// same bits: each part gives the sums of its pieces, and these are added one after the other.
//
//   std::unique_ptr<PushMeter> meter = PushMeter::Create(...);
//   // For every block, on any thread:
//   PushMeter::Pass pass(meter.get(), begin of the block);
//   pass.Add(...);  // Until the block's end.
//   // Then:
//   Measurements measurements = meter->Measured();
//
// Holds the pushes, and what it has claimed. Thread safety: passes over different blocks may be
// made at the same time; everything else is exclusive.
class PushMeter {
 public:
  // Of so many pushes or fewer, pairs are measured: their number grows with the square.
  static constexpr size_t kMostInPairs = 32;

  // At least one complete push, all of the partition's length, and a coefficient for each, whose
  // sum is not 0. There will be memory for so many passes at a time as there are `threads`; further
  // ones wait. Null if `budget` or the machine has no room for that and for the sums, or if there
  // are too many pushes for pairs. (Where tensors are no smaller than tiles, the sums take a
  // thousandth of what the pushes take as float32, as much again for the mean, and for pairs up to
  // 16 times as much.) `partition` outlives this.
  static std::unique_ptr<PushMeter> Create(std::vector<std::shared_ptr<const StagedPush>> pushes,
                                           std::vector<float> coefficients,
                                           WantedMeasurements wanted, const Partition& partition,
                                           int threads, MemoryBudget* budget);

 private:
  // What a pass works in.
  struct Room {
    // Null: it only says how many bytes there have to be.
    Room(size_t pushes, const WantedMeasurements& wanted, std::byte* memory);

    StagedPush::SpanReader* readers;  // One of each push; not constructed.
    ProductSum* sums;                 // Of the piece, in the order of sums_; likewise.
    float* tile;
    float* pair_rows;  // kPairElements of each push.
    int64_t bytes;
  };

 public:
  // Measures one block. It reads the pushes once more: what is merged just then is in the cache.
  class Pass {
   public:
    // `begin`: of the block.
    Pass(PushMeter* meter, int64_t begin);
    ~Pass();
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;

    // The elements from `at` on, in ascending order; what is left out counts as if it were 0 in all
    // pushes. `sum`: of the pushes, each times its coefficient, there; not read, and may be null,
    // where nobody asked for the mean.
    void Add(int64_t at, int64_t size, const UnalignedFloat* sum);

   private:
    void AddInPiece(int64_t at, int64_t size, const UnalignedFloat* sum);
    void AddPush(size_t push, int64_t at, int64_t size, const UnalignedFloat* sum);
    void AddPairs(int64_t at, int64_t size);
    // The sums of the piece are complete.
    void EndPiece();
    float* PairRow(size_t push) {
      return room_.pair_rows + static_cast<int64_t>(push) * kPairElements;
    }

    PushMeter& meter_;
    const ScratchPool::Loan loan_;
    const Room room_;
    size_t piece_;
    bool any_in_piece_ = false;
  };

  // Adds the sums of pieces `first` to `end` to `totals`, one after the other; where that is empty,
  // it begins with 0.
  void AddTo(size_t first, size_t end, std::vector<double>* totals) const;
  // What these totals, of all pieces, say.
  Measurements Conclude(const std::vector<double>& totals) const;
  // Both, where all blocks were measured here.
  Measurements Measured() const;

 private:
  PushMeter(std::vector<std::shared_ptr<const StagedPush>> pushes, std::vector<float> coefficients,
            WantedMeasurements wanted, const Partition& partition, int threads);

  // Elements that are compared at a time.
  static constexpr int64_t kPairElements = 256;

  // How many sums there are for each piece: the squared norms of the pushes, then their products
  // with the mean, then those of pairs.
  static size_t SumsFor(size_t pushes, const WantedMeasurements& wanted);
  size_t first_with_mean() const { return pushes_.size(); }
  size_t first_pair() const { return wanted_.with_mean ? 2 * pushes_.size() : pushes_.size(); }

  const std::vector<std::shared_ptr<const StagedPush>> pushes_;
  const std::vector<float> coefficients_;
  const WantedMeasurements wanted_;
  const Partition& partition_;
  const size_t sums_per_piece_;
  std::shared_ptr<MemoryBudget::Claim> claim_;
  std::vector<double> sums_;  // Of each piece; 0 where nothing was added.
  ScratchPool rooms_;
};

}  // namespace gradd

#endif  // GRADD_CORE_STEP_PUSH_METER_H_

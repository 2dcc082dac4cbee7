#include "core/step/push_meter.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/optim/scratch.h"
#include "core/store/slot.h"

namespace gradd {
namespace {

// Rows that a push has not add nothing, whatever the tensor's optimizer makes of that.
const StagedPush::Lazy& SkipsMissingRows() {
  static const auto& lazy = *new StagedPush::Lazy([](int64_t) { return true; });
  return lazy;
}

// Calls visit(begin, size, values) for what the push has from `at` to `end`, one after the other.
// `reader` has not gone beyond `at`; `scratch` has room for all.
template <typename Visit>
void VisitSpans(StagedPush::SpanReader* reader, int64_t at, int64_t end, float* scratch,
                const Visit& visit) {
  if (reader->begin() < at) reader->Seek(at);
  while (reader->begin() < end) {
    const int64_t begin = reader->begin();
    const int64_t stop = std::min(reader->end(), end);
    visit(begin, stop - begin, reader->Read(begin, stop - begin, scratch));
    if (stop == end) return;
    reader->Seek(stop);
  }
}

}  // namespace

size_t PushMeter::SumsFor(size_t pushes, const WantedMeasurements& wanted) {
  return pushes + (wanted.with_mean ? pushes : 0) +
         (wanted.pairs ? Measurements::PairCount(pushes) : 0);
}

PushMeter::Room::Room(size_t pushes, const WantedMeasurements& wanted, std::byte* memory) {
  const auto count = static_cast<int64_t>(pushes);
  Scratch scratch(memory);
  readers = scratch.Take<StagedPush::SpanReader>(count);
  sums = scratch.Take<ProductSum>(static_cast<int64_t>(SumsFor(pushes, wanted)));
  tile = scratch.Take<float>(kTileElements);
  pair_rows = scratch.Take<float>(wanted.pairs ? count * kPairElements : 0);
  bytes = scratch.bytes();
}

std::unique_ptr<PushMeter> PushMeter::Create(std::vector<std::shared_ptr<const StagedPush>> pushes,
                                             std::vector<float> coefficients,
                                             WantedMeasurements wanted, const Partition& partition,
                                             int threads, MemoryBudget* budget) {
  if (wanted.pairs && pushes.size() > kMostInPairs) return nullptr;
  try {
    std::unique_ptr<PushMeter> meter(
        new PushMeter(std::move(pushes), std::move(coefficients), wanted, partition, threads));
    const size_t sums = partition.pieces().size() * meter->sums_per_piece_;
    meter->claim_ = budget->TakeNow(
        MemoryUse::kScratch, static_cast<int64_t>(sums * sizeof(double)) + meter->rooms_.bytes());
    if (meter->claim_ == nullptr) return nullptr;
    meter->sums_.resize(sums);
    meter->rooms_.Allocate();
    return meter;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

PushMeter::PushMeter(std::vector<std::shared_ptr<const StagedPush>> pushes,
                     std::vector<float> coefficients, WantedMeasurements wanted,
                     const Partition& partition, int threads)
    : pushes_(std::move(pushes)),
      coefficients_(std::move(coefficients)),
      wanted_(wanted),
      partition_(partition),
      sums_per_piece_(SumsFor(pushes_.size(), wanted)),
      rooms_(std::min(threads, static_cast<int>(partition.blocks())),
             Room(pushes_.size(), wanted, nullptr).bytes) {
  GRADD_DCHECK(!pushes_.empty() && coefficients_.size() == pushes_.size(),
               absl::StrCat(coefficients_.size(), " coefficients for ", pushes_.size(), " pushes"));
  for (const auto& push : pushes_) {
    GRADD_DCHECK(push->elements() == partition_.elements(),
                 absl::StrCat(push->elements(), " and ", partition_.elements(), " elements"));
  }
}

PushMeter::Pass::Pass(PushMeter* meter, int64_t begin)
    : meter_(*meter),
      loan_(&meter->rooms_),
      room_(meter->pushes_.size(), meter->wanted_, loan_.memory()),
      piece_(meter->partition_.first_piece(meter->partition_.BlockAt(begin))) {
  for (size_t i = 0; i < meter_.pushes_.size(); ++i) {
    new (&room_.readers[i]) StagedPush::SpanReader(*meter_.pushes_[i], SkipsMissingRows(), begin);
  }
  std::uninitialized_value_construct_n(room_.sums, meter_.sums_per_piece_);
}

PushMeter::Pass::~Pass() {
  EndPiece();
  std::destroy_n(room_.readers, meter_.pushes_.size());
}

void PushMeter::Pass::Add(int64_t at, int64_t size, const UnalignedFloat* sum) {
  const std::vector<Partition::Piece>& pieces = meter_.partition_.pieces();
  for (const int64_t end = at + size; at < end;) {
    if (pieces[piece_].end() <= at) {
      EndPiece();
      while (pieces[piece_].end() <= at) ++piece_;
    }
    const int64_t most = meter_.wanted_.pairs ? kPairElements : kTileElements;
    const int64_t stop = std::min({end, pieces[piece_].end(), at + most});
    if (meter_.partition_.GroupOf(pieces[piece_]).spec.optimizer != nullptr) {
      AddInPiece(at, stop - at, sum);
    }
    if (sum != nullptr) sum += stop - at;
    at = stop;
  }
}

void PushMeter::Pass::AddInPiece(int64_t at, int64_t size, const UnalignedFloat* sum) {
  any_in_piece_ = true;
  for (size_t push = 0; push < meter_.pushes_.size(); ++push) AddPush(push, at, size, sum);
  if (meter_.wanted_.pairs) AddPairs(at, size);
}

void PushMeter::Pass::AddPush(size_t push, int64_t at, int64_t size, const UnalignedFloat* sum) {
  const WantedMeasurements& wanted = meter_.wanted_;
  const int64_t piece_begin = meter_.partition_.pieces()[piece_].begin;
  if (wanted.pairs) std::fill_n(PairRow(push), size, 0.0F);
  ProductSum* const squares = &room_.sums[push];
  VisitSpans(&room_.readers[push], at, at + size, room_.tile,
             [&](int64_t begin, int64_t count, const UnalignedFloat* values) {
               const int64_t in_piece = begin - piece_begin;
               if (wanted.with_mean) {
                 AddSquaresAndProducts(in_piece, values, sum + (begin - at), count, squares,
                                       &room_.sums[meter_.first_with_mean() + push]);
               } else {
                 AddSquares(in_piece, values, count, squares);
               }
               if (wanted.pairs) {
                 std::memcpy(PairRow(push) + (begin - at), values,
                             static_cast<size_t>(count) * sizeof(float));
               }
             });
}

void PushMeter::Pass::AddPairs(int64_t at, int64_t size) {
  const int64_t in_piece = at - meter_.partition_.pieces()[piece_].begin;
  ProductSum* const pairs = &room_.sums[meter_.first_pair()];
  for (size_t i = 1; i < meter_.pushes_.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      AddProducts(in_piece, PairRow(i), PairRow(j), size, &pairs[Measurements::PairIndex(i, j)]);
    }
  }
}

void PushMeter::Pass::EndPiece() {
  if (!any_in_piece_) return;
  any_in_piece_ = false;
  double* const sums = &meter_.sums_[piece_ * meter_.sums_per_piece_];
  for (size_t i = 0; i < meter_.sums_per_piece_; ++i) {
    sums[i] = room_.sums[i].Sum();
    room_.sums[i] = {};
  }
}

void PushMeter::AddTo(size_t first, size_t end, std::vector<double>* totals) const {
  totals->resize(sums_per_piece_);
  for (size_t piece = first; piece < end; ++piece) {
    const double* const sums = &sums_[piece * sums_per_piece_];
    for (size_t i = 0; i < sums_per_piece_; ++i) (*totals)[i] += sums[i];
  }
}

Measurements PushMeter::Conclude(const std::vector<double>& totals) const {
  Measurements measured;
  measured.pushes.reserve(pushes_.size());
  const double weight = std::accumulate(coefficients_.begin(), coefficients_.end(), 0.0);
  for (size_t i = 0; i < pushes_.size(); ++i) {
    Measurements::OfPush& push = measured.pushes.emplace_back();
    push.largest = static_cast<double>(pushes_[i]->largest());
    push.squared_norm = totals[i];
    if (!wanted_.with_mean) continue;
    push.with_mean = totals[first_with_mean() + i] / weight;
    measured.mean_squared_norm += static_cast<double>(coefficients_[i]) / weight * push.with_mean;
  }
  if (wanted_.pairs) {
    measured.pairs.assign(totals.begin() + static_cast<int64_t>(first_pair()), totals.end());
  }
  return measured;
}

Measurements PushMeter::Measured() const {
  std::vector<double> totals;
  AddTo(0, partition_.pieces().size(), &totals);
  return Conclude(totals);
}

}  // namespace gradd

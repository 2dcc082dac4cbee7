#ifndef GRADD_CORE_OPTIM_ELEMENTWISE_OPTIMIZER_H_
#define GRADD_CORE_OPTIM_ELEMENTWISE_OPTIMIZER_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/base/multiversion.h"
#include "core/base/norms.h"
#include "core/base/prefetch.h"
#include "core/optim/normal_noise.h"
#include "core/optim/optimizer.h"
#include "core/optim/weight_decay.h"

// Asserts that the iterations of the next loop are independent, although pointers may be the
// same: an update in place reads element i before it writes element i, and touches no other.
#if defined(__clang__)
#define GRADD_INDEPENDENT_ITERATIONS _Pragma("clang loop vectorize(assume_safety)")
#else
#define GRADD_INDEPENDENT_ITERATIONS _Pragma("GCC ivdep")
#endif

namespace gradd {

// What most rules share; a rule derives from this and hides what it has otherwise.
struct ElementRule {
  // The slot at which workers take gradients; -1: the parameters themselves.
  static constexpr int kTrainingSlot = -1;
  // The point at which the gradient of this element was taken.
  template <typename Slots>
  static float GradientPoint(float p, const Slots& /*slots*/) {
    return p;
  }

  // Numbers in double that it keeps between steps, once for all tensors or for each of them.
  static constexpr int kKept = 0;
  static constexpr bool kPerTensor = false;
  std::vector<ScalarSpec> Kept() const { return {}; }

  // Sums over all elements that the update needs first: of all tensors together, or of each.
  static constexpr int kSums = 0;

  // Whether it is of use, and known, in a form that leaves out elements without a gradient.
  static constexpr bool kLazy = false;
  // Whether its momentum or beta1 is StepInput::MomentumOr() of its own.
  static constexpr bool kFollowsMomentum = false;

  // Sets to 0 the weight decay that the rule applies itself, in another way than the loop does: in
  // front of Apply() and Terms().
  void TakeDecay(WeightDecay* /*decay*/) {}
  // Whether Apply() takes noise, a number drawn from the standard normal distribution.
  static constexpr bool kDrawsNoise = false;
  // Whether Apply() takes a number that Ahead() computes.
  static constexpr bool kWorksAhead = false;
};

// Turns a rule for one element into an optimizer. This is the only loop over elements; the
// compiler vectorizes it, and because every element goes through the same operations in the
// same order, the result does not depend on the vector width.
//
// A rule derives from ElementRule and has
//   static constexpr int kSlots;
//   std::vector<SlotSpec> Slots() const;               // kSlots of them
//   struct Scalars;                                    // what is the same for all elements
//   Scalars Prepare(const StepInput& input) const;     // in double, rounded once
//   // The new parameter; updates the slots.
//   static float Apply(const Scalars& scalars, float p, float g, std::array<float, kSlots>& slots);
// With kKept > 0, instead of the Prepare() above, for all tensors (or each, with kPerTensor)
//   Scalars Prepare(const StepInput& input, double* kept) const;
// With kSums > 0 the terms of the sums, and what follows from the sums: for each tensor with
// kPerTensor, else once, of all elements. Without kKept, `kept` is null. Terms are in double, so
// that squares neither overflow nor vanish.
//   static std::array<double, kSums> Terms(const Scalars& scalars, float p, float g,
//                                          const std::array<float, kSlots>& slots);
//   Scalars WithSums(const Scalars& scalars, const double* sums, double* kept) const;
// With kDrawsNoise, a member `uint64_t noise_key` of Scalars and a last argument `float noise` of
// Apply(): key and place in the flat vector say which (NormalNoise). With kWorksAhead, a last
// argument `float ahead` of Apply(), which is the result of
//   static float Ahead(const Scalars& scalars, float g, const std::array<float, kSlots>& slots);
// for the same element. It is called for some elements before Apply() is for the first of them:
// what takes so long that a processor cannot keep all of several elements in flight.
template <typename Rule>
class ElementwiseOptimizer final : public Optimizer {
 public:
  ElementwiseOptimizer(Rule rule, const WeightDecay& decay)
      : rule_(std::move(rule)), decay_(decay), slots_(rule_.Slots()), kept_(rule_.Kept()) {
    scalars_.reserve(1);
  }

  const std::vector<SlotSpec>& slots() const override { return slots_; }
  int training_slot() const override { return Rule::kTrainingSlot; }
  const std::vector<ScalarSpec>& scalars() const override { return kept_; }
  bool scalars_per_tensor() const override { return Rule::kPerTensor && Rule::kKept > 0; }
  bool lazy() const override { return Rule::kLazy; }
  bool follows_momentum() const override { return Rule::kFollowsMomentum; }
  int sums() const override { return Rule::kSums; }
  bool sums_per_tensor() const override { return Rule::kPerTensor; }

  void BeginStep(const StepInput& input, absl::Span<double> kept) override {
    decay_of_step_ = {static_cast<float>(decay_.coupled),
                      static_cast<float>(input.learning_rate * decay_.decoupled)};
    if constexpr (Rule::kKept == 0) {
      scalars_.assign(1, rule_.Prepare(input));
    } else {
      scalars_.clear();
      for (size_t at = 0; at < kept.size(); at += Rule::kKept) {
        scalars_.push_back(rule_.Prepare(input, &kept[at]));
      }
    }
  }

  void SumTile(const Tile& tile, double* sums) const override {
    if constexpr (Rule::kSums > 0) {
      decays() ? AddTerms<true>(tile, sums) : AddTerms<false>(tile, sums);
    }
  }

  void EndSums(absl::Span<const double> sums, absl::Span<double> kept) override {
    if constexpr (Rule::kSums > 0) {
      constexpr size_t kSums = Rule::kSums;
      if constexpr (Rule::kPerTensor) {
        const size_t tensors = sums.size() / kSums;
        scalars_.resize(tensors, scalars_.front());
        for (size_t tensor = 0; tensor < tensors; ++tensor) {
          scalars_[tensor] =
              rule_.WithSums(scalars_[tensor], &sums[tensor * kSums], KeptOf(tensor, kept));
        }
      } else {
        std::array<double, kSums> all = {};
        for (size_t i = 0; i < sums.size(); ++i) all[i % kSums] += sums[i];
        scalars_.front() = rule_.WithSums(scalars_.front(), all.data(), KeptOf(0, kept));
      }
    }
  }

  void UpdateTile(const Tile& tile, TileNorms* norms) const override {
    if (tile.size < SquareLanes<float>::kLanes) {
      decays() ? UpdateFew<true>(tile, norms) : UpdateFew<false>(tile, norms);
    } else {
      decays() ? Update<true>(tile, norms) : Update<false>(tile, norms);
    }
  }

 private:
  static constexpr size_t kSlots = Rule::kSlots;
  using Slots = std::array<float, kSlots>;

  static double* KeptOf(size_t tensor, absl::Span<double> kept) {
    return Rule::kKept == 0 ? nullptr : &kept[tensor * Rule::kKept];
  }
  const typename Rule::Scalars& ScalarsOf(const Tile& tile) const {
    // Before EndSums(), tensors for which nothing is kept have the same ones.
    return scalars_[scalars_.size() == 1 ? 0 : tile.tensor];
  }
  bool decays() const { return decay_of_step_.coupled != 0 || decay_of_step_.decoupled != 0; }

  // Where a tile lies; copies, so that the compiler sees that nobody changes them.
  struct Vectors {
    explicit Vectors(const Tile& tile) : gradient(tile.gradient), parameters(tile.parameters_in) {
      for (size_t k = 0; k < kSlots; ++k) slots[k] = tile.slots_in[k];
    }
    const UnalignedFloat* gradient;
    const float* parameters;
    std::array<const float*, kSlots> slots;
  };

  struct Outs {
    explicit Outs(const Tile& tile) : parameters(tile.parameters_out) {
      for (size_t k = 0; k < kSlots; ++k) slots[k] = tile.slots_out[k];
    }
    float* parameters;
    std::array<float*, kSlots> slots;
  };

  // For who is at `at`.
  static void PrefetchAfter(const Vectors& in, int64_t at) {
    const int64_t next = at + kPageElements;
    Prefetch(in.gradient + next);
    Prefetch(in.parameters + next);
    for (size_t k = 0; k < kSlots; ++k) Prefetch(in.slots[k] + next);
  }

  // Weight decay of this step.
  struct Decay {
    float coupled = 0;
    float decoupled = 0;
  };
  template <bool kDecays>
  static float DecayedGradient(float g, float p, const Slots& slots, const Decay& decay) {
    return kDecays ? g + decay.coupled * Rule::GradientPoint(p, slots) : g;
  }
  // Not p * (1 - decay): that factor, rounded to float32, is off by more than the decay of a small
  // learning rate can bear.
  template <bool kDecays>
  static float DecayedParameter(float p, const Decay& decay) {
    return kDecays ? p - decay.decoupled * p : p;
  }

  // What Apply() takes besides, for the elements of a tile: nothing, or
  struct Nothing {
    Nothing(const typename Rule::Scalars& /*scalars*/, const Tile& /*tile*/) {}
  };
  struct Noise : NormalNoise {
    Noise(const typename Rule::Scalars& scalars, const Tile& tile)
        : NormalNoise(scalars.noise_key, tile.begin) {}
  };
  struct WorkedAhead {
    WorkedAhead(const typename Rule::Scalars& /*scalars*/, const Tile& /*tile*/) {}
    alignas(64) float values[kPrefetchElements];
  };
  using Extra = std::conditional_t<Rule::kDrawsNoise, Noise,
                                   std::conditional_t<Rule::kWorksAhead, WorkedAhead, Nothing>>;

  // That of `count` elements from `begin` on, at most kPrefetchElements; that of element i at [i].
  template <bool kDecays>
  [[gnu::always_inline]] static const float* ExtraOf(const Vectors& in,
                                                     const typename Rule::Scalars& scalars,
                                                     const Decay& decay, int64_t begin,
                                                     int64_t count, Extra* extra) {
    if constexpr (Rule::kDrawsNoise) return extra->UpTo(begin + count);
    if constexpr (Rule::kWorksAhead) {
      const auto work = [&](int64_t i) __attribute__((always_inline)) {
        const Slots slots = SlotsOf(in, begin + i);
        const float g = DecayedGradient<kDecays>(in.gradient[begin + i], in.parameters[begin + i],
                                                 slots, decay);
        extra->values[i] = Rule::Ahead(scalars, g, slots);
      };
      if (count == kPrefetchElements) {
        GRADD_INDEPENDENT_ITERATIONS
        for (int64_t i = 0; i < kPrefetchElements; ++i) work(i);
      } else {
        for (int64_t i = 0; i < count; ++i) work(i);
      }
      return extra->values - begin;
    }
    return nullptr;
  }

  [[gnu::always_inline]] static Slots SlotsOf(const Vectors& in, int64_t i) {
    Slots slots;
    for (size_t k = 0; k < kSlots; ++k) slots[k] = in.slots[k][i];
    return slots;
  }

  // Of a parameter.
  struct Change {
    float by;
    float to;
  };
  // `extra` is ExtraOf() it.
  template <bool kDecays>
  [[gnu::always_inline]] static Change UpdateElement(const Vectors& in, const Outs& out,
                                                     const typename Rule::Scalars& scalars,
                                                     const Decay& decay, const float* extra,
                                                     int64_t i) {
    Slots slots = SlotsOf(in, i);
    const float before = in.parameters[i];
    const float g = DecayedGradient<kDecays>(in.gradient[i], before, slots, decay);
    const float p = DecayedParameter<kDecays>(before, decay);
    float after;
    if constexpr (Rule::kDrawsNoise || Rule::kWorksAhead) {
      after = Rule::Apply(scalars, p, g, slots, extra[i]);
    } else {
      after = Rule::Apply(scalars, p, g, slots);
    }
    out.parameters[i] = after;
    for (size_t k = 0; k < kSlots; ++k) out.slots[k][i] = slots[k];
    return {after - before, after};
  }

  // The same for so few elements that lanes cost more than they save: a row of a tensor.
  template <bool kDecays>
  void UpdateFew(const Tile& tile, TileNorms* norms) const {
    const Vectors in(tile);
    const Outs out(tile);
    const typename Rule::Scalars& scalars = ScalarsOf(tile);
    Extra room(scalars, tile);
    const float* const extra = ExtraOf<kDecays>(in, scalars, decay_of_step_, 0, tile.size, &room);
    TileNorms sum;
    for (int64_t i = 0; i < tile.size; ++i) {
      const auto g = static_cast<double>(in.gradient[i]);
      const Change change = UpdateElement<kDecays>(in, out, scalars, decay_of_step_, extra, i);
      sum.gradient += g * g;
      sum.update += static_cast<double>(change.by) * static_cast<double>(change.by);
      sum.parameters += static_cast<double>(change.to) * static_cast<double>(change.to);
    }
    if (norms != nullptr) *norms = sum;
  }

  template <bool kDecays>
  GRADD_MULTIVERSION_WIDE void Update(const Tile& tile, TileNorms* norms) const {
    constexpr int64_t kLanes = SquareLanes<float>::kLanes;
    const Vectors in(tile);
    const Outs out(tile);
    const typename Rule::Scalars scalars = ScalarsOf(tile);
    const Decay decay = decay_of_step_;
    Extra room(scalars, tile);
    const float* extra = nullptr;
    TileNorms sum;
    for (int64_t begin = 0; begin < tile.size; begin += kNormRun) {
      const int64_t end = std::min(begin + kNormRun, tile.size);
      alignas(64) float update[kNormRun];
      SquareLanes<float> gradient_squares;
      SquareLanes<float> update_squares;
      SquareLanes<float> parameter_squares;
      const auto update_element = [&](int64_t i, int64_t lane) __attribute__((always_inline)) {
        const Change change = UpdateElement<kDecays>(in, out, scalars, decay, extra, i);
        update[i - begin] = change.by;
        gradient_squares.Add(lane, in.gradient[i]);
        update_squares.Add(lane, change.by);
        parameter_squares.Add(lane, change.to);
      };
      static_assert(kLanes == kPrefetchElements);
      for (int64_t i = begin; i < end; i += kLanes) {
        PrefetchAfter(in, i);
        const int64_t count = std::min(kLanes, end - i);
        extra = ExtraOf<kDecays>(in, scalars, decay, i, count, &room);
        if (count == kLanes) {  // Which the compiler unrolls.
          GRADD_INDEPENDENT_ITERATIONS
          for (int64_t lane = 0; lane < kLanes; ++lane) update_element(i + lane, lane);
        } else {
          for (int64_t lane = 0; lane < count; ++lane) update_element(i + lane, lane);
        }
      }
      if (norms == nullptr) continue;
      const int64_t size = end - begin;
      sum.gradient += CheckedSum(gradient_squares.Sum(), in.gradient + begin, size);
      sum.update += CheckedSum(update_squares.Sum(), update, size);
      sum.parameters += CheckedSum(parameter_squares.Sum(), out.parameters + begin, size);
    }
    if (norms != nullptr) *norms = sum;
  }

  template <bool kDecays>
  void AddTerms(const Tile& tile, double* sums) const {
    const Vectors in(tile);
    const typename Rule::Scalars scalars = ScalarsOf(tile);
    const Decay decay = decay_of_step_;
    constexpr int64_t kRun = 256;
    for (int64_t begin = 0; begin < tile.size; begin += kRun) {
      const int64_t size = std::min(kRun, tile.size - begin);
      for (int64_t at = 0; at < size; at += kPrefetchElements) PrefetchAfter(in, begin + at);
      alignas(64) double terms[Rule::kSums][kRun];
      for (int64_t i = 0; i < size; ++i) {
        Slots slots;
        for (size_t k = 0; k < kSlots; ++k) slots[k] = in.slots[k][begin + i];
        const float before = in.parameters[begin + i];
        const float g = DecayedGradient<kDecays>(in.gradient[begin + i], before, slots, decay);
        const float p = DecayedParameter<kDecays>(before, decay);
        const std::array<double, Rule::kSums> of_element = Rule::Terms(scalars, p, g, slots);
        for (size_t k = 0; k < of_element.size(); ++k) terms[k][i] = of_element[k];
      }
      for (size_t k = 0; k < Rule::kSums; ++k) sums[k] += Sum(terms[k], size);
    }
  }

  const Rule rule_;
  const WeightDecay decay_;
  const std::vector<SlotSpec> slots_;
  const std::vector<ScalarSpec> kept_;
  std::vector<typename Rule::Scalars> scalars_;  // Of all tensors, or of each.
  Decay decay_of_step_;
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_ELEMENTWISE_OPTIMIZER_H_

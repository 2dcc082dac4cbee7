#ifndef GRADD_CORE_DIAGNOSTICS_SMOOTHED_MEAN_H_
#define GRADD_CORE_DIAGNOSTICS_SMOOTHED_MEAN_H_

namespace gradd {

// Exponentially smoothed mean, bias corrected as Adam's first moment is (Kingma and Ba 2015,
// section 3): right from the first value on. Not thread safe.
class SmoothedMean {
 public:
  void Add(double value) {
    average_ = kDecay * average_ + (1 - kDecay) * value;
    bias_ *= kDecay;
  }
  // 0 before the first value.
  double value() const { return bias_ < 1 ? average_ / (1 - bias_) : 0; }

 private:
  static constexpr double kDecay = 0.95;
  double average_ = 0;  // Biased towards 0.
  double bias_ = 1;     // kDecay^values.
};

}  // namespace gradd

#endif  // GRADD_CORE_DIAGNOSTICS_SMOOTHED_MEAN_H_

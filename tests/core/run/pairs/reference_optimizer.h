#ifndef GRADD_TESTS_CORE_RUN_PAIRS_REFERENCE_OPTIMIZER_H_
#define GRADD_TESTS_CORE_RUN_PAIRS_REFERENCE_OPTIMIZER_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <vector>

#include "gradd/v1/optimizer.pb.h"
#include "tests/core/optim/optimizer_table.h"
#include "tests/core/run/pairs/tiny_model.h"

namespace gradd {

// The spec of a row of the table.
const v1::Optimizer& OptimizerOf(const OptimizerCase& row);

// Whether a kind finds its step sizes itself, so that a warm-up is not for it (Schedule in
// schedule.proto).
bool HasOwnRate(v1::Optimizer::KindCase kind);

// What is around a rule, in the order in which it acts. All off by default.
struct ReferenceStages {
  static constexpr double kNone = std::numeric_limits<double>::infinity();
  bool centralize = false;
  double adaptive_clipping = kNone;
  double clip_by_value = kNone;
  double clip_by_tensor_norm = kNone;
  double clip_by_global_norm = kNone;
  double coupled = 0;
  double decoupled = 0;
  int look_ahead_interval = 0;
  double look_ahead_alpha = 0;
  double average_decay = -1;  // Below 0: no average.
};

// Tensors that are trained in one way.
struct ReferenceGroup {
  std::vector<size_t> tensors;         // Of TinyTensors(), ascending.
  const OptimizerCase* row = nullptr;  // Null: they are frozen.
  double rate_factor = 1;
  ReferenceStages stages;
  bool shares_norm = false;  // With the other groups that do.
  // Of these tensors instead of stages.coupled.
  std::map<size_t, double> coupled_of = {};
};

// What a run's optimizer does to the tiny model, in double: the rules are those of the table, and
// what is around them is written here from the protos' formulas, with nothing of core/optim.
class ReferenceOptimizer {
 public:
  // `rounds`: rounds the parameters to float32 after each step, which shows what roundings come to.
  ReferenceOptimizer(const std::vector<float>& parameters, bool rounds);

  // Trains like this from the next step on. The first call begins; later ones change, where a group
  // may lose tensors to new groups and gets none.
  void Train(std::vector<ReferenceGroup> groups);

  struct Gradient {
    std::vector<double> values;   // The mean.
    std::vector<char> has_value;  // Empty: there is one of every element.
  };
  // `without_warm_up`: the rate for kinds with a rate of their own.
  void Step(const Gradient& gradient, double rate, double without_warm_up, double loss);

  std::vector<double> Parameters() const { return parameters_; }
  // The point at which workers take gradients.
  std::vector<double> TrainingPoint() const;
  // The mean of the parameters, where some group keeps one.
  bool has_average() const;
  std::vector<double> Average() const;
  // The largest magnitude that each parameter, and the point at which it is trained, ever had.
  const std::vector<double>& largest() const { return largest_; }
  // The norm of those of `values` that belong to elements that are trained.
  double NormOfTrained(const std::vector<double>& values) const;

 private:
  using Numbers = std::vector<double>;
  using State = std::vector<Numbers>;

  struct Trained {
    ReferenceGroup group;
    int64_t steps = 0;
    std::map<size_t, State> of_tensor;
    State of_all;  // Of rules that take sums over all tensors.
    std::vector<size_t> elements;
  };

  void Begin(const Trained* before, Trained* next);
  Numbers Staged(const ReferenceStages& stages, size_t tensor, const Numbers& gradient) const;
  void ClipByGlobalNorm(Numbers* seen) const;
  void StepGroup(const Gradient& gradient, double rate, double loss, Numbers* seen,
                 Trained* trained);
  // One step of the rule for these elements, with their state.
  void Apply(const Trained& trained, double rate, double loss, const std::vector<size_t>& elements,
             const Numbers& seen, State* state);
  void ApplyToTensor(const Gradient& gradient, double rate, double loss, size_t tensor,
                     const Numbers& seen, Trained* trained);
  // What comes after the rule: look-ahead, and the average.
  void After(Trained* trained);
  // A parameter goes somewhere else. Where the rule makes parameters of a sum, it goes on from
  // there.
  static void Move(double way, Trained* trained, size_t tensor, size_t element);
  // Where the gradient of a tensor's element is taken, in the state of its rule; null: at its
  // parameter.
  static double* PointIn(Trained* trained, size_t tensor, size_t element);
  static const double* PointIn(const Trained& trained, size_t tensor, size_t element);

  const bool rounds_;
  Numbers parameters_;
  Numbers slow_;
  Numbers average_;
  Numbers largest_;
  std::vector<Trained> groups_;
};

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_PAIRS_REFERENCE_OPTIMIZER_H_

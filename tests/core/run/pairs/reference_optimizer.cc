#include "tests/core/run/pairs/reference_optimizer.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "tests/core/run/pairs/kind_change.h"

namespace gradd {
namespace {

using Kind = v1::Optimizer::KindCase;

double Norm(const double* values, size_t size) {
  return std::sqrt(std::inner_product(values, values + size, values, 0.0));
}

void Scale(double factor, double* values, size_t size) {
  for (size_t i = 0; i < size; ++i) values[i] *= factor;
}

// Bounds the norm of a vector.
void Bound(double bound, double* values, size_t size) {
  const double norm = Norm(values, size);
  if (norm > bound) Scale(bound / norm, values, size);
}

// Rules that take sums over all tensors that they train.
bool SumsOverAll(Kind kind) {
  switch (kind) {
    case Kind::kDAdaptAdam:
    case Kind::kProdigy:
    case Kind::kDog:
    case Kind::kDowg:
    case Kind::kPolyakStepSize:
    case Kind::kMomo:
    case Kind::kMomoAdam:
      return true;
    default:
      return false;
  }
}

// Rules whose whole step is made from the tensor's gradient; decay is beside it.
bool TakesWholeTensors(Kind kind) {
  return kind == Kind::kAdafactor || kind == Kind::kSm3 || kind == Kind::kMuon ||
         kind == Kind::kShampoo;
}

// ENCODING_ROWS in training_service.proto: those that leave rows alone of which there is no
// gradient, unless something is around them that cannot.
bool LeavesMissingRowsAlone(Kind kind, const ReferenceStages& stages) {
  if (stages.look_ahead_interval > 0 || stages.average_decay >= 0 || stages.centralize ||
      stages.adaptive_clipping < ReferenceStages::kNone) {
    return false;
  }
  switch (kind) {
    case Kind::kSgd:
    case Kind::kMomentum:
    case Kind::kAdaGrad:
    case Kind::kAdaDelta:
    case Kind::kRmsProp:
    case Kind::kAdam:
    case Kind::kAdamW:
    case Kind::kAmsGrad:
    case Kind::kFtrl:
      return true;
    default:
      return false;
  }
}

// The elements of some tensors.
std::vector<size_t> ElementsOf(const std::vector<size_t>& tensors) {
  std::vector<size_t> elements;
  for (const size_t tensor : tensors) {
    const TinyTensor& each = TinyTensors()[tensor];
    for (size_t i = each.begin; i < each.begin + each.size(); ++i) elements.push_back(i);
  }
  return elements;
}

}  // namespace

const v1::Optimizer& OptimizerOf(const OptimizerCase& row) {
  static auto& specs = *new std::map<std::string, v1::Optimizer>;
  const auto [at, is_new] = specs.try_emplace(row.name);
  if (is_new) {
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(row.spec, &at->second)) << row.name;
  }
  return at->second;
}

bool HasOwnRate(Kind kind) {
  switch (kind) {
    case Kind::kAdaDelta:
    case Kind::kDAdaptAdam:
    case Kind::kProdigy:
    case Kind::kDog:
    case Kind::kDowg:
    case Kind::kCocob:
    case Kind::kRprop:
      return true;
    default:
      return false;
  }
}

ReferenceOptimizer::ReferenceOptimizer(const std::vector<float>& parameters, bool rounds)
    : rounds_(rounds),
      parameters_(parameters.begin(), parameters.end()),
      slow_(parameters_),
      average_(parameters_),
      largest_(parameters_) {
  for (double& value : largest_) value = std::abs(value);
}

void ReferenceOptimizer::Train(std::vector<ReferenceGroup> groups) {
  std::vector<Trained> next;
  for (ReferenceGroup& group : groups) {
    Trained trained;
    trained.group = std::move(group);
    trained.elements = ElementsOf(trained.group.tensors);
    const size_t first = trained.group.tensors.front();
    const auto before = std::find_if(groups_.begin(), groups_.end(), [first](const Trained& old) {
      const std::vector<size_t>& tensors = old.group.tensors;
      return std::find(tensors.begin(), tensors.end(), first) != tensors.end();
    });
    Begin(before == groups_.end() ? nullptr : &*before, &trained);
    next.push_back(std::move(trained));
  }
  groups_ = std::move(next);
}

void ReferenceOptimizer::Begin(const Trained* before, Trained* next) {
  const OptimizerCase* const row = next->group.row;
  const bool goes_on = row != nullptr && before != nullptr && before->group.row != nullptr &&
                       GoesOn(OptimizerOf(*before->group.row), OptimizerOf(*row));
  const bool had_slow = goes_on && before->group.stages.look_ahead_interval > 0;
  const bool had_average = goes_on && before->group.stages.average_decay >= 0;
  for (const size_t i : next->elements) {
    if (!had_slow) slow_[i] = parameters_[i];
    if (!had_average) average_[i] = parameters_[i];
  }
  if (!goes_on) return;
  next->steps = before->steps;
  const Kind old_kind = OptimizerOf(*before->group.row).kind_case();
  const Kind kind = OptimizerOf(*row).kind_case();
  for (const size_t tensor : next->group.tensors) {
    const auto state = before->of_tensor.find(tensor);
    if (state == before->of_tensor.end()) continue;
    next->of_tensor[tensor] = StateFor(old_kind, kind, state->second);
  }
  // What it has of each element, of those that are left; the other numbers are of all.
  for (const Numbers& numbers : before->of_all) {
    if (numbers.size() != before->elements.size()) {
      next->of_all.push_back(numbers);
      continue;
    }
    Numbers left;
    for (size_t k = 0; k < numbers.size(); ++k) {
      if (std::binary_search(next->elements.begin(), next->elements.end(), before->elements[k])) {
        left.push_back(numbers[k]);
      }
    }
    next->of_all.push_back(std::move(left));
  }
}

ReferenceOptimizer::Numbers ReferenceOptimizer::Staged(const ReferenceStages& stages, size_t tensor,
                                                       const Numbers& gradient) const {
  const TinyTensor& of = TinyTensors()[tensor];
  const auto begin = gradient.begin() + static_cast<int64_t>(of.begin);
  Numbers g(begin, begin + static_cast<int64_t>(of.size()));
  for (size_t row = 0; row < of.size(); row += of.columns) {
    double* const values = &g[row];
    if (stages.centralize && of.rows > 0) {
      const double mean =
          std::accumulate(values, values + of.columns, 0.0) / static_cast<double>(of.columns);
      for (size_t i = 0; i < of.columns; ++i) values[i] -= mean;
    }
    const double norm = std::max(Norm(&parameters_[of.begin + row], of.columns), 1e-3);
    Bound(stages.adaptive_clipping * norm, values, of.columns);
  }
  for (double& value : g) value = std::clamp(value, -stages.clip_by_value, stages.clip_by_value);
  Bound(stages.clip_by_tensor_norm, g.data(), g.size());
  return g;
}

void ReferenceOptimizer::ClipByGlobalNorm(Numbers* seen) const {
  const auto square = [seen](const Trained& trained) {
    double sum = 0;
    for (const size_t i : trained.elements) sum += (*seen)[i] * (*seen)[i];
    return sum;
  };
  double shared = 0;
  for (const Trained& trained : groups_) {
    if (trained.group.row != nullptr && trained.group.shares_norm) shared += square(trained);
  }
  for (const Trained& trained : groups_) {
    if (trained.group.row == nullptr) continue;
    const double norm = std::sqrt(trained.group.shares_norm ? shared : square(trained));
    const double bound = trained.group.stages.clip_by_global_norm;
    if (norm <= bound) continue;
    for (const size_t i : trained.elements) (*seen)[i] *= bound / norm;
  }
}

const double* ReferenceOptimizer::PointIn(const Trained& trained, size_t tensor, size_t element) {
  if (trained.group.row == nullptr || trained.group.row->training_state < 0) return nullptr;
  const auto state = trained.of_tensor.find(tensor);
  if (state == trained.of_tensor.end() || state->second.empty()) return nullptr;
  return &state->second[element][static_cast<size_t>(trained.group.row->training_state)];
}

double* ReferenceOptimizer::PointIn(Trained* trained, size_t tensor, size_t element) {
  return const_cast<double*>(PointIn(static_cast<const Trained&>(*trained), tensor, element));
}

void ReferenceOptimizer::Apply(const Trained& trained, double rate, double loss,
                               const std::vector<size_t>& elements, const Numbers& seen,
                               State* state) {
  const OptimizerCase& row = *trained.group.row;
  const bool beside = TakesWholeTensors(OptimizerOf(row).kind_case());
  const double decay = rate * trained.group.stages.decoupled;
  Numbers p(elements.size());
  Numbers g(elements.size());
  for (size_t k = 0; k < elements.size(); ++k) {
    p[k] = parameters_[elements[k]];
    g[k] = seen[elements[k]];
    if (!beside) p[k] -= decay * p[k];
  }
  row.reference.Step(trained.steps + 1, rate, loss, g, &p, state);
  for (size_t k = 0; k < elements.size(); ++k) {
    double& parameter = parameters_[elements[k]];
    parameter = beside ? p[k] - decay * parameter : p[k];
  }
}

void ReferenceOptimizer::ApplyToTensor(const Gradient& gradient, double rate, double loss,
                                       size_t tensor, const Numbers& seen, Trained* trained) {
  const TinyTensor& of = TinyTensors()[tensor];
  State& state = trained->of_tensor[tensor];
  const Kind kind = OptimizerOf(*trained->group.row).kind_case();
  if (gradient.has_value.empty() || !LeavesMissingRowsAlone(kind, trained->group.stages)) {
    return Apply(*trained, rate, loss, ElementsOf({tensor}), seen, &state);
  }
  // Their rules are of single elements: those that there are, with their state.
  std::vector<size_t> there;
  for (size_t i = of.begin; i < of.begin + of.size(); ++i) {
    if (gradient.has_value[i] != 0) there.push_back(i);
  }
  state.resize(of.size());
  State part;
  for (const size_t i : there) part.push_back(state[i - of.begin]);
  Apply(*trained, rate, loss, there, seen, &part);
  for (size_t k = 0; k < there.size(); ++k) state[there[k] - of.begin] = part[k];
}

void ReferenceOptimizer::StepGroup(const Gradient& gradient, double rate, double loss,
                                   Numbers* seen, Trained* trained) {
  const ReferenceGroup& group = trained->group;
  for (const size_t tensor : group.tensors) {
    const auto own = group.coupled_of.find(tensor);
    const double coupled = own == group.coupled_of.end() ? group.stages.coupled : own->second;
    const TinyTensor& of = TinyTensors()[tensor];
    for (size_t k = 0; coupled != 0 && k < of.size(); ++k) {
      const double* const point = PointIn(*trained, tensor, k);
      (*seen)[of.begin + k] += coupled * (point == nullptr ? parameters_[of.begin + k] : *point);
    }
  }
  const Kind kind = OptimizerOf(*group.row).kind_case();
  if (SumsOverAll(kind)) {
    Apply(*trained, rate, loss, trained->elements, *seen, &trained->of_all);
  } else if (kind == Kind::kNoisySgd) {
    // Its noise is of the element's place in the flat vector.
    const Numbers before = parameters_;
    std::vector<size_t> all(parameters_.size());
    std::iota(all.begin(), all.end(), size_t{0});
    Apply(*trained, rate, loss, all, *seen, &trained->of_all);
    Numbers after = before;
    for (const size_t i : trained->elements) after[i] = parameters_[i];
    parameters_ = std::move(after);
  } else {
    for (const size_t tensor : group.tensors) {
      ApplyToTensor(gradient, rate, loss, tensor, *seen, trained);
    }
  }
  ++trained->steps;
  After(trained);
}

void ReferenceOptimizer::After(Trained* trained) {
  const ReferenceStages& stages = trained->group.stages;
  const bool meets =
      stages.look_ahead_interval > 0 && trained->steps % stages.look_ahead_interval == 0;
  for (const size_t tensor : trained->group.tensors) {
    const TinyTensor& of = TinyTensors()[tensor];
    for (size_t k = 0; k < of.size(); ++k) {
      const size_t i = of.begin + k;
      double& p = parameters_[i];
      double* const point = PointIn(trained, tensor, k);
      if (meets) {
        slow_[i] += stages.look_ahead_alpha * (p - slow_[i]);
        Move(slow_[i] - p, trained, tensor, k);
        p = slow_[i];
        if (point != nullptr) *point = p;  // Training goes on from there.
      }
      if (rounds_) p = static_cast<double>(static_cast<float>(p));
      if (stages.average_decay >= 0) {
        average_[i] = stages.average_decay * average_[i] + (1 - stages.average_decay) * p;
      }
      largest_[i] = std::max({largest_[i], std::abs(p), point == nullptr ? 0 : std::abs(*point)});
    }
  }
}

void ReferenceOptimizer::Move(double way, Trained* trained, size_t tensor, size_t element) {
  const v1::Optimizer& spec = OptimizerOf(*trained->group.row);
  if (!spec.has_ftrl()) return;
  // State: n, z, q, where p is -(z - sign(z) * l1) / (q + l2).
  Numbers& state = trained->of_tensor[tensor][element];
  state[1] -= (state[2] + spec.ftrl().l2()) * way;
}

void ReferenceOptimizer::Step(const Gradient& gradient, double rate, double without_warm_up,
                              double loss) {
  Numbers seen(parameters_.size());
  for (const Trained& trained : groups_) {
    if (trained.group.row == nullptr) continue;
    for (const size_t tensor : trained.group.tensors) {
      const Numbers staged = Staged(trained.group.stages, tensor, gradient.values);
      std::copy(staged.begin(), staged.end(),
                seen.begin() + static_cast<int64_t>(TinyTensors()[tensor].begin));
    }
  }
  ClipByGlobalNorm(&seen);
  for (Trained& trained : groups_) {
    if (trained.group.row == nullptr) continue;
    const bool own = HasOwnRate(OptimizerOf(*trained.group.row).kind_case());
    StepGroup(gradient, (own ? without_warm_up : rate) * trained.group.rate_factor, loss, &seen,
              &trained);
  }
}

std::vector<double> ReferenceOptimizer::TrainingPoint() const {
  Numbers points = parameters_;
  for (const Trained& trained : groups_) {
    for (const size_t tensor : trained.group.tensors) {
      const TinyTensor& of = TinyTensors()[tensor];
      for (size_t k = 0; k < of.size(); ++k) {
        const double* const point = PointIn(trained, tensor, k);
        if (point != nullptr) points[of.begin + k] = *point;
      }
    }
  }
  return points;
}

bool ReferenceOptimizer::has_average() const {
  return std::any_of(groups_.begin(), groups_.end(), [](const Trained& trained) {
    return trained.group.row != nullptr && trained.group.stages.average_decay >= 0;
  });
}

std::vector<double> ReferenceOptimizer::Average() const {
  Numbers average = parameters_;
  for (const Trained& trained : groups_) {
    if (trained.group.row == nullptr || trained.group.stages.average_decay < 0) continue;
    for (const size_t i : trained.elements) average[i] = average_[i];
  }
  return average;
}

double ReferenceOptimizer::NormOfTrained(const std::vector<double>& values) const {
  double sum = 0;
  for (const Trained& trained : groups_) {
    if (trained.group.row == nullptr) continue;
    for (const size_t i : trained.elements) sum += values[i] * values[i];
  }
  return std::sqrt(sum);
}

}  // namespace gradd

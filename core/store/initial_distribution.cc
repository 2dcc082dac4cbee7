#include "core/store/initial_distribution.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/error.h"
#include "core/store/orthogonal_matrix.h"
#include "core/store/random_value.h"

namespace gradd {
namespace {

using Kind = InitialDistribution::Kind;
using Kaiming = v1::Initializer::Kaiming;

// The defaults of torch.nn.init.
constexpr float kDeviation = 1;
constexpr float kGain = 1;
constexpr float kLow = -2;
constexpr float kHigh = 2;
// How far from the mean an interval may begin, in standard deviations: farther out there is nothing
// to be drawn.
constexpr double kFarthestInterval = 8;

double DeviationOf(const v1::Initializer::Normal& normal) {
  return normal.has_standard_deviation() ? normal.standard_deviation() : kDeviation;
}
double DeviationOf(const v1::Initializer::TruncatedNormal& normal) {
  return normal.has_standard_deviation() ? normal.standard_deviation() : kDeviation;
}
template <typename Message>
double GainOf(const Message& message) {
  return message.has_gain() ? message.gain() : kGain;
}

// As torch has them; in double, in which the product cannot overflow.
struct Fans {
  double in;
  double out;
};
Fans FansOf(const v1::Tensor& tensor) {
  double field = 1;
  for (int i = 2; i < tensor.shape_size(); ++i) field *= static_cast<double>(tensor.shape(i));
  return {static_cast<double>(tensor.shape(1)) * field,
          static_cast<double>(tensor.shape(0)) * field};
}

double GainOf(const Kaiming& kaiming) {
  switch (kaiming.nonlinearity()) {
    case Kaiming::NONLINEARITY_LINEAR:
    case Kaiming::NONLINEARITY_SIGMOID:
      return 1;
    case Kaiming::NONLINEARITY_TANH:
      return 5.0 / 3;
    case Kaiming::NONLINEARITY_RELU:
      return std::sqrt(2.0);
    case Kaiming::NONLINEARITY_SELU:
      return 0.75;
    default:
      break;
  }
  const double slope = kaiming.negative_slope();
  return std::sqrt(2 / (1 + slope * slope));
}

double DeviationOf(const Kaiming& kaiming, const v1::Tensor& tensor) {
  const Fans fans = FansOf(tensor);
  return GainOf(kaiming) / std::sqrt(kaiming.fan() == Kaiming::FAN_OUT ? fans.out : fans.in);
}

double DeviationOf(const v1::Initializer::Xavier& xavier, const v1::Tensor& tensor) {
  const Fans fans = FansOf(tensor);
  return GainOf(xavier) * std::sqrt(2 / (fans.in + fans.out));
}

InitialDistribution Uniform(float low, float high) {
  InitialDistribution uniform;
  uniform.kind = Kind::kUniform;
  uniform.low = low;
  uniform.high = high;
  return uniform;
}

InitialDistribution UniformOfDeviation(double deviation) {
  const auto bound = static_cast<float>(std::sqrt(3.0) * deviation);
  return Uniform(-bound, bound);
}

InitialDistribution Normal(double mean, double deviation) {
  InitialDistribution normal;
  normal.kind = Kind::kNormal;
  normal.mean = mean;
  normal.deviation = deviation;
  return normal;
}

absl::Status CheckFinite(absl::string_view field, double value) {
  if (std::isfinite(value)) return absl::OkStatus();
  return InvalidArgument("LAYOUT_INVALID", absl::StrCat(field, ": ", value, " is not finite"));
}

absl::Status CheckPositive(absl::string_view field, double value) {
  if (std::isfinite(value) && value > 0) return absl::OkStatus();
  return InvalidArgument("LAYOUT_INVALID",
                         absl::StrCat(field, ": ", value, ", a finite number above 0 expected"));
}

absl::Status CheckMatrix(absl::string_view field, const v1::Tensor& tensor) {
  if (tensor.shape_size() >= 2) return absl::OkStatus();
  return InvalidArgument(
      "LAYOUT_INVALID",
      absl::StrCat(field, ": the shape [", absl::StrJoin(tensor.shape(), ", "), "] has ",
                   tensor.shape_size(), " dimensions, at least 2 expected"));
}

absl::Status CheckUniform(absl::string_view field, const v1::Initializer::Uniform& uniform) {
  const float low = uniform.low();
  const float high = uniform.high();
  if (std::isfinite(low) && std::isfinite(high) && low < high) return absl::OkStatus();
  return InvalidArgument("LAYOUT_INVALID", absl::StrCat(field, ": [", low, ", ", high,
                                                        ") is not a finite range with low < high"));
}

absl::Status CheckTruncated(absl::string_view field,
                            const v1::Initializer::TruncatedNormal& truncated) {
  GRADD_RETURN_IF_ERROR(CheckFinite(absl::StrCat(field, ".mean"), truncated.mean()));
  const double deviation = DeviationOf(truncated);
  GRADD_RETURN_IF_ERROR(CheckPositive(absl::StrCat(field, ".standard_deviation"), deviation));
  const float low = truncated.has_low() ? truncated.low() : kLow;
  const float high = truncated.has_high() ? truncated.high() : kHigh;
  if (!std::isfinite(low) || !std::isfinite(high) || !(low < high)) {
    return InvalidArgument(
        "LAYOUT_INVALID",
        absl::StrCat(field, ": [", low, ", ", high, "] is not a finite range with low < high"));
  }
  const double mean = truncated.mean();
  if (low > mean + kFarthestInterval * deviation || high < mean - kFarthestInterval * deviation) {
    return InvalidArgument(
        "LAYOUT_INVALID",
        absl::StrCat(field, ": [", low, ", ", high, "] is farther than ", kFarthestInterval,
                     " standard deviations of ", deviation, " from the mean of ", mean));
  }
  return absl::OkStatus();
}

absl::Status CheckKaiming(absl::string_view field, const Kaiming& kaiming,
                          const v1::Tensor& tensor) {
  GRADD_RETURN_IF_ERROR(CheckMatrix(field, tensor));
  const float slope = kaiming.negative_slope();
  GRADD_RETURN_IF_ERROR(CheckFinite(absl::StrCat(field, ".negative_slope"), slope));
  if (!Kaiming::Fan_IsValid(kaiming.fan())) {
    return InvalidArgument("LAYOUT_INVALID",
                           absl::StrCat(field, ".fan: ", static_cast<int>(kaiming.fan()),
                                        ", FAN_IN or FAN_OUT expected"));
  }
  if (!Kaiming::Nonlinearity_IsValid(kaiming.nonlinearity())) {
    return InvalidArgument(
        "LAYOUT_INVALID",
        absl::StrCat(field, ".nonlinearity: ", static_cast<int>(kaiming.nonlinearity()),
                     ", one of the names that begin with NONLINEARITY_ expected"));
  }
  const bool leaky = kaiming.nonlinearity() == Kaiming::NONLINEARITY_UNSPECIFIED ||
                     kaiming.nonlinearity() == Kaiming::NONLINEARITY_LEAKY_RELU;
  if (slope == 0 || leaky) return absl::OkStatus();
  return InvalidArgument("LAYOUT_INVALID",
                         absl::StrCat(field, ".negative_slope: ", slope, " with ",
                                      Kaiming::Nonlinearity_Name(kaiming.nonlinearity()),
                                      ", 0 expected: only NONLINEARITY_LEAKY_RELU has a slope"));
}

absl::Status CheckOrthogonal(absl::string_view field, const v1::Initializer::Orthogonal& orthogonal,
                             const v1::Tensor& tensor) {
  GRADD_RETURN_IF_ERROR(CheckMatrix(field, tensor));
  GRADD_RETURN_IF_ERROR(CheckPositive(absl::StrCat(field, ".gain"), GainOf(orthogonal)));
  const double elements = FansOf(tensor).in * static_cast<double>(tensor.shape(0));
  if (elements <= static_cast<double>(OrthogonalMatrix::kMaxElements)) return absl::OkStatus();
  return InvalidArgument(
      "LAYOUT_INVALID",
      absl::StrCat(field, ": the shape [", absl::StrJoin(tensor.shape(), ", "),
                   "] has too many elements, at most ", OrthogonalMatrix::kMaxElements,
                   " expected where rows or columns are to be orthogonal"));
}

}  // namespace

InitialDistribution DistributionOf(const v1::Tensor& tensor) {
  const v1::Initializer& initializer = tensor.initializer();
  InitialDistribution distribution;
  switch (initializer.kind_case()) {
    case v1::Initializer::kUniform:
      return Uniform(initializer.uniform().low(), initializer.uniform().high());
    case v1::Initializer::kNormal:
      return Normal(initializer.normal().mean(), DeviationOf(initializer.normal()));
    case v1::Initializer::kTruncatedNormal: {
      const v1::Initializer::TruncatedNormal& truncated = initializer.truncated_normal();
      distribution = Normal(truncated.mean(), DeviationOf(truncated));
      distribution.kind = Kind::kTruncatedNormal;
      distribution.low = truncated.has_low() ? truncated.low() : kLow;
      distribution.high = truncated.has_high() ? truncated.high() : kHigh;
      return distribution;
    }
    case v1::Initializer::kKaimingUniform:
      return UniformOfDeviation(DeviationOf(initializer.kaiming_uniform(), tensor));
    case v1::Initializer::kKaimingNormal:
      return Normal(0, DeviationOf(initializer.kaiming_normal(), tensor));
    case v1::Initializer::kXavierUniform:
      return UniformOfDeviation(DeviationOf(initializer.xavier_uniform(), tensor));
    case v1::Initializer::kXavierNormal:
      return Normal(0, DeviationOf(initializer.xavier_normal(), tensor));
    case v1::Initializer::kOrthogonal:
      distribution.kind = Kind::kOrthogonal;
      distribution.rows = tensor.shape(0);
      distribution.columns = static_cast<int64_t>(FansOf(tensor).in);
      distribution.gain = GainOf(initializer.orthogonal());
      return distribution;
    case v1::Initializer::kConstant:
    case v1::Initializer::KIND_NOT_SET:
      distribution.constant = initializer.constant();
  }
  return distribution;
}

float LargestValueOf(const InitialDistribution& distribution) {
  const auto above = [](double value) {
    const auto rounded = static_cast<float>(value);
    return std::nextafter(rounded, std::numeric_limits<float>::infinity());
  };
  switch (distribution.kind) {
    case Kind::kConstant:
      return std::abs(distribution.constant);
    case Kind::kUniform:
    case Kind::kTruncatedNormal:
      return std::max(std::abs(distribution.low), std::abs(distribution.high));
    case Kind::kNormal:
      return above(std::abs(distribution.mean) + kLargestNormalValue * distribution.deviation);
    case Kind::kOrthogonal:
      return above(distribution.gain);
  }
  return 0;
}

absl::Status CheckInitializer(absl::string_view where, const v1::Tensor& tensor) {
  const v1::Initializer& initializer = tensor.initializer();
  if (initializer.kind_case() == v1::Initializer::KIND_NOT_SET) return absl::OkStatus();
  const std::string field =
      absl::StrCat(where, ".initializer.",
                   v1::Initializer::descriptor()
                       ->FindFieldByNumber(static_cast<int>(initializer.kind_case()))
                       ->name());
  switch (initializer.kind_case()) {
    case v1::Initializer::kConstant:
      return CheckFinite(field, initializer.constant());
    case v1::Initializer::kUniform:
      return CheckUniform(field, initializer.uniform());
    case v1::Initializer::kNormal:
      GRADD_RETURN_IF_ERROR(CheckFinite(absl::StrCat(field, ".mean"), initializer.normal().mean()));
      GRADD_RETURN_IF_ERROR(CheckPositive(absl::StrCat(field, ".standard_deviation"),
                                          DeviationOf(initializer.normal())));
      break;
    case v1::Initializer::kTruncatedNormal:
      return CheckTruncated(field, initializer.truncated_normal());
    case v1::Initializer::kKaimingUniform:
      return CheckKaiming(field, initializer.kaiming_uniform(), tensor);
    case v1::Initializer::kKaimingNormal:
      return CheckKaiming(field, initializer.kaiming_normal(), tensor);
    case v1::Initializer::kXavierUniform:
    case v1::Initializer::kXavierNormal: {
      const v1::Initializer::Xavier& xavier = initializer.has_xavier_uniform()
                                                  ? initializer.xavier_uniform()
                                                  : initializer.xavier_normal();
      GRADD_RETURN_IF_ERROR(CheckMatrix(field, tensor));
      GRADD_RETURN_IF_ERROR(CheckPositive(absl::StrCat(field, ".gain"), GainOf(xavier)));
      break;
    }
    case v1::Initializer::kOrthogonal:
      GRADD_RETURN_IF_ERROR(CheckOrthogonal(field, initializer.orthogonal(), tensor));
      break;
    case v1::Initializer::KIND_NOT_SET:
      break;
  }
  if (std::isfinite(LargestValueOf(DistributionOf(tensor)))) return absl::OkStatus();
  return InvalidArgument("LAYOUT_INVALID",
                         absl::StrCat(field, ": its values leave the range of float32"));
}

}  // namespace gradd

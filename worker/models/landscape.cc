#include "worker/models/landscape.h"

#include <algorithm>
#include <cmath>

namespace gradd {
namespace {

constexpr double kPi = 3.14159265358979323846;

Slope Quadratic(double x, double y, double steepness) {
  return {(x * x + steepness * y * y) / 2, {x, steepness * y}};
}

Slope Rosenbrock(double x, double y) {
  const double aside = y - x * x;
  return {(1 - x) * (1 - x) + 100 * aside * aside, {-2 * (1 - x) - 400 * x * aside, 200 * aside}};
}

Slope Beale(double x, double y) {
  constexpr double kTargets[] = {1.5, 2.25, 2.625};
  Slope sum = {0, {0, 0}};
  double power = 1;  // y^k
  for (int k = 1; k <= 3; ++k) {
    const double before = power;
    power *= y;
    const double residual = kTargets[k - 1] - x + x * power;
    sum.value += residual * residual;
    sum.gradient[0] += 2 * residual * (power - 1);
    sum.gradient[1] += 2 * residual * x * k * before;
  }
  return sum;
}

Slope Himmelblau(double x, double y) {
  const double a = x * x + y - 11;
  const double b = x + y * y - 7;
  return {a * a + b * b, {4 * x * a + 2 * b, 2 * a + 4 * y * b}};
}

Slope Saddle(double x, double y) {
  return {x * x / 2 - y * y / 2 + y * y * y * y / 4, {x, y * y * y - y}};
}

Slope MonkeySaddle(double x, double y) {
  const double square = x * x + y * y;
  return {x * x * x - 3 * x * y * y + square * square / 4,
          {3 * x * x - 3 * y * y + square * x, -6 * x * y + square * y}};
}

Slope Plateau(double x, double y) {
  const double bell = std::exp(-(x * x + y * y) / 2);
  return {1 - bell, {x * bell, y * bell}};
}

Slope Rastrigin(double x, double y) {
  const auto term = [](double u) { return u * u - 10 * std::cos(2 * kPi * u); };
  const auto slope = [](double u) { return 2 * u + 20 * kPi * std::sin(2 * kPi * u); };
  return {20 + term(x) + term(y), {slope(x), slope(y)}};
}

}  // namespace

const std::vector<LandscapeInfo>& Landscapes() {
  static const auto* const all = new std::vector<LandscapeInfo>{
      {Landscape::kBowl, "bowl", {-2, 1.5}, {-2.5, -2.5}, {2.5, 2.5}, {{0, 0}}},
      {Landscape::kValley, "valley", {-2, 0.3}, {-2.5, -0.6}, {1.5, 0.6}, {{0, 0}}},
      {Landscape::kRosenbrock, "rosenbrock", {-1.2, 1}, {-2, -1}, {2, 3}, {{1, 1}}},
      {Landscape::kBeale, "beale", {1, 1.2}, {-1, -1.5}, {4.5, 2}, {{3, 0.5}}},
      {Landscape::kHimmelblau,
       "himmelblau",
       {0, 0},
       {-5, -5},
       {5, 5},
       {{3, 2}, {-2.805118, 3.131313}, {-3.779310, -3.283186}, {3.584428, -1.848127}}},
      {Landscape::kSaddle, "saddle", {-1.5, 1e-3}, {-2, -1.6}, {1, 1.6}, {{0, -1}, {0, 1}}},
      {Landscape::kMonkeySaddle,
       "monkey-saddle",
       {0.9, 1e-3},
       {-4, -3.5},
       {3, 3.5},
       {{-3, 0}, {1.5, 2.598076}, {1.5, -2.598076}}},
      {Landscape::kPlateau, "plateau", {2.2, -1.5}, {-3, -3}, {3, 3}, {{0, 0}}},
      {Landscape::kRastrigin, "rastrigin", {-2.3, 1.7}, {-3, -3}, {3, 3}, {{0, 0}}},
  };
  return *all;
}

const LandscapeInfo& InfoOf(Landscape landscape) {
  const std::vector<LandscapeInfo>& all = Landscapes();
  return *std::find_if(all.begin(), all.end(), [landscape](const LandscapeInfo& info) {
    return info.landscape == landscape;
  });
}

Slope SlopeAt(Landscape landscape, const Point& point) {
  const auto [x, y] = point;
  switch (landscape) {
    case Landscape::kBowl:
      return Quadratic(x, y, 3);
    case Landscape::kValley:
      return Quadratic(x, y, 100);
    case Landscape::kRosenbrock:
      return Rosenbrock(x, y);
    case Landscape::kBeale:
      return Beale(x, y);
    case Landscape::kHimmelblau:
      return Himmelblau(x, y);
    case Landscape::kSaddle:
      return Saddle(x, y);
    case Landscape::kMonkeySaddle:
      return MonkeySaddle(x, y);
    case Landscape::kPlateau:
      return Plateau(x, y);
    case Landscape::kRastrigin:
      break;
  }
  return Rastrigin(x, y);
}

}  // namespace gradd

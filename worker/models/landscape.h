#ifndef GRADD_WORKER_MODELS_LANDSCAPE_H_
#define GRADD_WORKER_MODELS_LANDSCAPE_H_

#include <array>
#include <string>
#include <vector>

namespace gradd {

// Functions of two parameters on which people see what optimizers do.
enum class Landscape {
  kBowl,          // Convex and almost round: (x^2 + 3 y^2) / 2.
  kValley,        // Convex and narrow: (x^2 + 100 y^2) / 2.
  kRosenbrock,    // A curved valley: (1 - x)^2 + 100 (y - x^2)^2 (Rosenbrock 1960).
  kBeale,         // Flat around, steep at the edges (Beale 1958); its minimum is at (3, 0.5).
  kHimmelblau,    // Four minima of 0: (x^2 + y - 11)^2 + (x + y^2 - 7)^2 (Himmelblau 1972).
  kSaddle,        // x^2 / 2 - y^2 / 2 + y^4 / 4: a saddle at 0, minima of -1/4 at (0, -1), (0, 1).
  kMonkeySaddle,  // x^3 - 3 x y^2 + (x^2 + y^2)^2 / 4: at 0 even the curvature vanishes.
  kPlateau,       // 1 - exp(-(x^2 + y^2) / 2): the further away, the smaller the gradient.
  kRastrigin,     // A grid of minima, the lowest at 0 (Rastrigin 1974): 20 + the sum of
                  // x^2 - 10 cos(2 pi x) over both.
};

using Point = std::array<double, 2>;

// One of them, as people name and see it.
struct LandscapeInfo {
  Landscape landscape;
  std::string name;  // As in "monkey-saddle".
  Point start;       // Where paths begin unless told otherwise.
  Point low;         // The corners of the part that is worth seeing.
  Point high;
  std::vector<Point> minima;  // The lowest ones.
};

// All of them.
const std::vector<LandscapeInfo>& Landscapes();
const LandscapeInfo& InfoOf(Landscape landscape);

// Value and gradient at a point.
struct Slope {
  double value;
  Point gradient;
};
Slope SlopeAt(Landscape landscape, const Point& point);

}  // namespace gradd

#endif  // GRADD_WORKER_MODELS_LANDSCAPE_H_

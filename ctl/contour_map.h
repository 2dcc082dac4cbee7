#ifndef GRADD_CTL_CONTOUR_MAP_H_
#define GRADD_CTL_CONTOUR_MAP_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/models/landscape.h"

namespace gradd::ctl {

// A path over a landscape, and what it is called.
struct NamedPath {
  std::string name;
  std::vector<Point> points;
};

// Contours of the landscape with the paths over them, as SVG: a few paths on each of as many maps
// as that takes. The start is a dot, the minima are stars, the ends of the paths are crosses.
absl::StatusOr<std::string> DrawContourMaps(const LandscapeInfo& landscape,
                                            absl::Span<const NamedPath> paths);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_CONTOUR_MAP_H_

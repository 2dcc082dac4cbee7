#ifndef GRADD_CTL_SVG_PLOT_H_
#define GRADD_CTL_SVG_PLOT_H_

#include <string>
#include <utility>
#include <vector>

namespace gradd::ctl {

// Lines over one pair of axes, of which the horizontal one counts steps. A line is interrupted
// where a point is not finite, or not positive on a logarithmic axis, and where it would go back to
// the left.
struct SvgPlot {
  struct Line {
    std::string colour;  // `#0072b2`.
    std::vector<std::pair<double, double>> points;
    bool pale = false;  // In the background, and thin.
    bool dots = false;  // Its points alone.
  };
  std::string title;
  std::string x_label;
  std::string y_label;
  bool log_y = false;
  std::vector<Line> lines;
};

// What a colour stands for.
struct SvgLegend {
  std::string colour;
  std::string text;
};

// A picture with a title and these plots, one above the other: SVG that needs nothing else, no
// fonts, scripts or style sheets of its own. Texts may have any characters.
std::string DrawSvg(const std::string& title, const std::vector<SvgPlot>& plots,
                    const std::vector<SvgLegend>& legends);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_SVG_PLOT_H_

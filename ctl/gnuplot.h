#ifndef GRADD_CTL_GNUPLOT_H_
#define GRADD_CTL_GNUPLOT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace gradd::ctl {

// The program that draws pictures: gnuplot, of Debian's gnuplot-nox.

// OK if it is there; else an error that says where it is to be had.
absl::Status CheckGnuplot();

// Runs a script, without the user's own settings, and returns what it prints.
absl::StatusOr<std::string> RunGnuplot(absl::string_view script);

// `text` as a string in a script.
std::string GnuplotString(absl::string_view text);

// Settings for a script that draws one SVG of that size.
std::string SvgTerminal(int width, int height);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_GNUPLOT_H_

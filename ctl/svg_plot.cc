#include "ctl/svg_plot.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "core/base/utf8.h"

namespace gradd::ctl {
namespace {

// In pixels.
constexpr double kPictureWidth = 960;
constexpr double kLeft = 80;    // Of the axes, for the numbers of the vertical one.
constexpr double kRight = 730;  // Of the axes; beside them is the legend.
constexpr double kTop = 60;     // Of the first plot.
constexpr double kPlot = 300;   // From one plot to the next one.
constexpr double kAxes = 215;   // Height of the axes.
constexpr double kLegendRow = 20;
constexpr size_t kLegendBytes = 28;

std::string Escaped(const std::string& text) {
  return absl::StrReplaceAll(
      IsPrintableUtf8(text) ? text : absl::CHexEscape(text),
      {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

std::string Text(double x, double y, const char* attributes, const std::string& text) {
  return absl::StrFormat("<text x=\"%.1f\" y=\"%.1f\" %s>%s</text>\n", x, y, attributes,
                         Escaped(text));
}

// From a number on a plot's axis to a place in the picture.
struct Axis {
  bool logarithmic = false;
  double low = std::numeric_limits<double>::infinity();  // As Measure() has them.
  double high = -std::numeric_limits<double>::infinity();
  double from = 0;  // Where `low` is.
  double to = 0;

  bool Shows(double value) const { return std::isfinite(value) && (!logarithmic || value > 0); }
  double Measure(double value) const { return logarithmic ? std::log10(value) : value; }
  void Include(double value) {
    low = std::min(low, Measure(value));
    high = std::max(high, Measure(value));
  }
  double Place(double value) const {
    return from + (Measure(value) - low) / (high - low) * (to - from);
  }
  // Gives what is seen some room, also where it is but one value or none.
  void Widen(double part) {
    if (!(low <= high)) low = high = logarithmic ? 0 : 0.5;
    double room = part * (high - low);
    if (!(high - low > 1e-9 * std::max(std::abs(low), std::abs(high)))) {
      room = low == 0 ? 0.5 : 0.05 * std::abs(low);
    }
    low -= room;
    high += room;
  }
};

struct Tick {
  double value;
  std::string text;
};

// `2.5M`, `300k`, `0.0012`; `decimals` after the point where it is not shortened.
std::string NumberText(double value, int decimals) {
  const double size = std::abs(value);
  if (size >= 1e15 || (size > 0 && size < 1e-4)) return absl::StrFormat("%.3g", value);
  if (size >= 1e9) return absl::StrFormat("%gG", value / 1e9);
  if (size >= 1e6) return absl::StrFormat("%gM", value / 1e6);
  if (size >= 1e4) return absl::StrFormat("%gk", value / 1e3);
  return absl::StrFormat("%.*f", decimals, value);
}

// The multiples of 1, 2 or 5 times a power of ten that are about `count`, at least `least` apart.
std::vector<Tick> EvenTicks(double low, double high, int count, double least = 0) {
  const double wanted = (high - low) / count;
  const double power = std::pow(10, std::floor(std::log10(wanted)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0}) {
    if (factor * power >= wanted) step = factor * power;
  }
  step = std::max(step, least);
  std::vector<Tick> ticks;
  const int decimals = std::clamp(static_cast<int>(std::ceil(-std::log10(step) - 1e-9)), 0, 12);
  for (double i = std::ceil(low / step); i * step <= high && ticks.size() < 100; ++i) {
    ticks.push_back({i * step, NumberText(i == 0 ? 0 : i * step, decimals)});
  }
  return ticks;
}

// Powers of ten, and what is between where there are few of them. `low` and `high` are their
// exponents.
std::vector<Tick> LogarithmicTicks(double low, double high) {
  std::vector<Tick> ticks;
  const double every = std::max(1.0, std::ceil((high - low) / 7));
  const std::vector<double> factors =
      high - low < 3 ? std::vector<double>{1, 2, 5} : std::vector<double>{1};
  const double first = std::floor(low / every);
  const auto count = static_cast<int>(std::floor(high / every) - first) + 1;
  for (int i = 0; i < count; ++i) {
    const double exponent = (first + i) * every;
    for (const double factor : factors) {
      const double value = factor * std::pow(10, exponent);
      if (std::log10(value) < low || std::log10(value) > high) continue;
      ticks.push_back({value, absl::StrFormat("%.3g", value)});
    }
  }
  if (ticks.size() < 2) ticks = EvenTicks(std::pow(10, low), std::pow(10, high), 4);
  return ticks;
}

std::string Axes(const SvgPlot& plot, const Axis& x, const Axis& y) {
  std::string out;
  for (const Tick& tick : EvenTicks(x.low, x.high, 6, /*least=*/1)) {
    const double place = x.Place(tick.value);
    absl::StrAppendFormat(
        &out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#e5e5e5\"/>\n", place,
        y.to, place, y.from);
    out += Text(place, y.from + 18, "text-anchor=\"middle\"", tick.text);
  }
  for (const Tick& tick :
       plot.log_y ? LogarithmicTicks(y.low, y.high) : EvenTicks(y.low, y.high, 5)) {
    const double place = y.Place(tick.value);
    absl::StrAppendFormat(
        &out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#e5e5e5\"/>\n",
        x.from, place, x.to, place);
    out += Text(x.from - 8, place + 4, "text-anchor=\"end\"", tick.text);
  }
  absl::StrAppendFormat(&out,
                        "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" "
                        "stroke=\"#888\"/>\n",
                        x.from, y.to, x.to - x.from, y.from - y.to);
  out += Text(x.from, y.to - 10, "font-weight=\"bold\"", plot.title);
  out += Text((x.from + x.to) / 2, y.from + 36, "text-anchor=\"middle\"", plot.x_label);
  const double middle = (y.from + y.to) / 2;
  out += Text(
      0, 0,
      absl::StrFormat("text-anchor=\"middle\" transform=\"translate(18 %.1f) rotate(-90)\"", middle)
          .c_str(),
      plot.y_label);
  return out;
}

std::string Dots(const SvgPlot::Line& line, const Axis& x, const Axis& y) {
  std::string out;
  for (const auto& [at, value] : line.points) {
    if (!x.Shows(at) || !y.Shows(value)) continue;
    absl::StrAppendFormat(&out,
                          "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"#fff\" stroke=\"%s\"/>\n",
                          x.Place(at), y.Place(value), line.colour);
  }
  return out;
}

std::string Curve(const SvgPlot::Line& line, const Axis& x, const Axis& y) {
  std::string path;
  std::optional<double> before;
  for (const auto& [at, value] : line.points) {
    if (!x.Shows(at) || !y.Shows(value)) {
      before.reset();
      continue;
    }
    const bool goes_on = before.has_value() && *before <= at;
    absl::StrAppendFormat(&path, "%c%.1f %.1f", goes_on ? 'L' : 'M', x.Place(at), y.Place(value));
    // A point on its own is seen too.
    if (!goes_on) absl::StrAppendFormat(&path, "l0 0");
    before = at;
  }
  if (path.empty()) return "";
  return absl::StrFormat(
      "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"%s\" stroke-opacity=\"%s\" "
      "stroke-linejoin=\"round\" stroke-linecap=\"round\"/>\n",
      path, line.colour, line.pale ? "1" : "2", line.pale ? "0.3" : "1");
}

std::string Plot(const SvgPlot& plot, double top) {
  Axis x;
  Axis y;
  y.logarithmic = plot.log_y;
  for (const SvgPlot::Line& line : plot.lines) {
    for (const auto& [at, value] : line.points) {
      if (!x.Shows(at) || !y.Shows(value)) continue;
      x.Include(at);
      y.Include(value);
    }
  }
  const bool nothing = !(x.low <= x.high);
  x.Widen(0);
  y.Widen(0.04);
  x.from = kLeft;
  x.to = kRight;
  y.from = top + kAxes;
  y.to = top;
  std::string out = Axes(plot, x, y);
  if (nothing) {
    out += Text((x.from + x.to) / 2, top + kAxes / 2, "text-anchor=\"middle\"", "nothing to draw");
  }
  for (const SvgPlot::Line& line : plot.lines) {
    if (line.pale) out += Curve(line, x, y);
  }
  for (const SvgPlot::Line& line : plot.lines) {
    if (!line.pale) out += line.dots ? Dots(line, x, y) : Curve(line, x, y);
  }
  return out;
}

}  // namespace

std::string DrawSvg(const std::string& title, const std::vector<SvgPlot>& plots,
                    const std::vector<SvgLegend>& legends) {
  const double height = std::max(kTop + kPlot * static_cast<double>(plots.size()),
                                 kTop + kLegendRow * static_cast<double>(legends.size() + 1));
  std::string out = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
      "viewBox=\"0 0 %.0f %.0f\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n",
      kPictureWidth, height, kPictureWidth, height);
  absl::StrAppend(&out, "<title>", Escaped(title), "</title>\n");
  absl::StrAppend(&out, "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n");
  out += Text(kLeft, 26, "font-size=\"16\"", title);
  for (size_t i = 0; i < plots.size(); ++i) {
    out += Plot(plots[i], kTop + kPlot * static_cast<double>(i));
  }
  for (size_t i = 0; i < legends.size(); ++i) {
    const double y = kTop + kLegendRow * static_cast<double>(i) + 8;
    absl::StrAppendFormat(&out,
                          "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
                          "stroke-width=\"3\"/>\n",
                          kRight + 14, y - 4, kRight + 32, y - 4, legends[i].colour);
    out += Text(kRight + 38, y, "", Abbreviated(legends[i].text, kLegendBytes));
  }
  absl::StrAppend(&out, "</svg>\n");
  return out;
}

}  // namespace gradd::ctl

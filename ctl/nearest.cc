#include "ctl/nearest.h"

#include <algorithm>
#include <numeric>

namespace gradd::ctl {
namespace {

// Levenshtein's distance.
size_t Distance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);  // From a's first letters to each beginning of b.
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t exchanged = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j + 1] + 1, row[j] + 1, exchanged});
    }
  }
  return row.back();
}

}  // namespace

std::string Nearest(absl::string_view text, const std::vector<std::string>& known) {
  constexpr size_t kLongest = 100;  // What is longer is no slip of the keyboard.
  if (text.size() > kLongest) return "";
  size_t least = std::max<size_t>(2, text.size() / 3) + 1;
  std::string nearest;
  for (const std::string& name : known) {
    const size_t distance = Distance(text, name);
    if (distance >= least || distance >= std::max(text.size(), name.size())) continue;
    least = distance;
    nearest = name;
  }
  return nearest;
}

}  // namespace gradd::ctl

#ifndef GRADD_CORE_DIAGNOSTICS_THINNED_SEQUENCE_H_
#define GRADD_CORE_DIAGNOSTICS_THINNED_SEQUENCE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/error.h"

namespace gradd {

// The points of something that goes on without an end, thinned evenly: all of them while they are
// at most kMost, then every second one, every fourth and so on; and always the newest.
//
// The points that are added count from 1. There are, in order, those whose number is a multiple of
// stride(), a power of two, and the newest where its number is none. The stride is doubled when
// otherwise there would be more than kMost.
//
// A value: the same points give the same sequence. Not thread safe.
template <typename Point>
class ThinnedSequence {
 public:
  static constexpr int64_t kMost = 4096;

  void Add(Point point) {
    if (added_ % stride_ != 0) points_.pop_back();
    ++added_;
    if (points_.size() == static_cast<size_t>(kMost)) Thin();
    points_.push_back(std::move(point));
  }

  int64_t added() const { return added_; }
  int64_t stride() const { return stride_; }
  bool empty() const { return points_.empty(); }
  const Point& newest() const { return points_.back(); }
  const std::deque<Point>& points() const { return points_; }

  // Calls visit(point), in order, for points with wanted(point): for all of them, or, where they
  // are more than `most` >= 1, for those whose number is a multiple of the least power of two with
  // which they are not, and the newest of them. Returns that power of two.
  template <typename Wanted, typename Visit>
  int64_t Select(int64_t most, const Wanted& wanted, const Visit& visit) const {
    size_t newest = points_.size();
    std::array<int64_t, 64> by_power = {};  // How many numbers are divisible by 2 so often.
    for (size_t i = points_.size(); i-- > 0;) {
      if (!wanted(points_[i])) continue;
      if (newest == points_.size()) {
        newest = i;
      } else {
        ++by_power[PowerOf(NumberOf(i))];
      }
    }
    int64_t stride = int64_t{1} << 62;
    for (int64_t selected = 1; stride > stride_; stride /= 2) {
      selected += by_power[PowerOf(stride)];
      if (selected + by_power[PowerOf(stride / 2)] > most) break;
    }
    for (size_t i = 0; i < points_.size(); ++i) {
      const bool is_multiple = i < newest && NumberOf(i) % stride == 0;
      if (i == newest || (is_multiple && wanted(points_[i]))) visit(points_[i]);
    }
    return stride;
  }

  // Becomes a sequence to which `added` points were added and which has these. INVALID_ARGUMENT,
  // with `name`, says what no sequence has; this one is as it was then.
  absl::Status Read(absl::string_view name, int64_t added, int64_t stride,
                    std::deque<Point> points) {
    const bool is_power = stride > 0 && (stride & (stride - 1)) == 0;
    if (added < 0 || !is_power || (stride > 1 && stride >= added)) {
      return InvalidArgument("STATE_INVALID",
                             absl::StrCat(name, ": one of ", stride, " of ", added,
                                          " points, a power of two of them expected"));
    }
    const int64_t expected = added / stride + (added % stride != 0 ? 1 : 0);
    if (expected > kMost || static_cast<int64_t>(points.size()) != expected) {
      return InvalidArgument(
          "STATE_INVALID",
          absl::StrCat(name, ": ", points.size(), " points, ", expected, " expected for one of ",
                       stride, " of ", added, ", and at most ", kMost));
    }
    added_ = added;
    stride_ = stride;
    points_ = std::move(points);
    return absl::OkStatus();
  }

 private:
  // Of the point at `i`.
  int64_t NumberOf(size_t i) const {
    return i + 1 == points_.size() ? added_ : (static_cast<int64_t>(i) + 1) * stride_;
  }

  // How often it can be divided by 2; `number` is above 0.
  static size_t PowerOf(int64_t number) {
    return static_cast<size_t>(__builtin_ctzll(static_cast<uint64_t>(number)));
  }

  // There are kMost points, all at multiples of the stride.
  void Thin() {
    stride_ *= 2;
    for (size_t i = 0; i < points_.size() / 2; ++i) points_[i] = std::move(points_[2 * i + 1]);
    points_.erase(points_.begin() + static_cast<std::ptrdiff_t>(points_.size() / 2), points_.end());
  }

  int64_t added_ = 0;
  int64_t stride_ = 1;
  std::deque<Point> points_;
};

}  // namespace gradd

#endif  // GRADD_CORE_DIAGNOSTICS_THINNED_SEQUENCE_H_

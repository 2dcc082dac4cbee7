#include "tests/core/run/pairs/covering_array.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace gradd {
namespace {

// Calls visit(pair) for every two values of two factors.
template <typename Visit>
void ForEachPair(const std::vector<int>& sizes, const Visit& visit) {
  const auto factors = static_cast<int>(sizes.size());
  FactorPair pair;
  for (pair.factor = 0; pair.factor < factors; ++pair.factor) {
    for (pair.other = pair.factor + 1; pair.other < factors; ++pair.other) {
      for (pair.value = 0; pair.value < sizes[static_cast<size_t>(pair.factor)]; ++pair.value) {
        for (pair.other_value = 0; pair.other_value < sizes[static_cast<size_t>(pair.other)];
             ++pair.other_value) {
          visit(pair);
        }
      }
    }
  }
}

FactorRow RowOf(const FactorPair& pair, size_t factors) {
  FactorRow row(factors, kOpenFactor);
  row[static_cast<size_t>(pair.factor)] = pair.value;
  row[static_cast<size_t>(pair.other)] = pair.other_value;
  return row;
}

// Which pairs are in some row.
class Covered {
 public:
  explicit Covered(const std::vector<int>& sizes) {
    for (const int size : sizes) {
      begin_.push_back(values_);
      values_ += static_cast<size_t>(size);
    }
    covered_.resize(values_ * values_);
  }
  bool Has(size_t factor, int value, size_t other, int other_value) const {
    return covered_[At(factor, value, other, other_value)];
  }
  void Add(const FactorRow& row) {
    for (size_t factor = 0; factor < row.size(); ++factor) {
      for (size_t other = 0; other < row.size(); ++other) {
        covered_[At(factor, row[factor], other, row[other])] = true;
      }
    }
  }

 private:
  size_t At(size_t factor, int value, size_t other, int other_value) const {
    return (begin_[factor] + static_cast<size_t>(value)) * values_ + begin_[other] +
           static_cast<size_t>(other_value);
  }

  std::vector<size_t> begin_;  // Of each factor's values among all.
  size_t values_ = 0;
  std::vector<bool> covered_;
};

bool IsIn(const Covered& covered, const FactorPair& pair) {
  return covered.Has(static_cast<size_t>(pair.factor), pair.value, static_cast<size_t>(pair.other),
                     pair.other_value);
}

class Cover {
 public:
  Cover(const std::vector<int>& sizes, const MayBe& may_be)
      : sizes_(sizes), may_be_(may_be), covered_(sizes) {
    ForEachPair(sizes, [this](const FactorPair& pair) {
      if (IsIn(covered_, pair)) return;
      FactorRow row = RowOf(pair, sizes_.size());
      if (!may_be_(row) || !Complete(&row)) return;
      covered_.Add(row);
      rows_.push_back(std::move(row));
    });
  }
  std::vector<FactorRow> TakeRows() { return std::move(rows_); }

 private:
  // Chooses what is open; false, with nothing chosen, if nothing fits.
  bool Complete(FactorRow* row) const {
    const auto open = std::find(row->begin(), row->end(), kOpenFactor);
    if (open == row->end()) return true;
    for (const int value : ByGain(*row, static_cast<size_t>(open - row->begin()))) {
      *open = value;
      if (may_be_(*row) && Complete(row)) return true;
    }
    *open = kOpenFactor;
    return false;
  }
  // The values of a factor, first those that cover most. Of equal ones another comes first in every
  // row, so that those that nothing asks for come up equally often.
  std::vector<int> ByGain(const FactorRow& row, size_t factor) const {
    const int size = sizes_[factor];
    std::vector<std::pair<int, int>> order;  // Minus the gain, and the value.
    for (int k = 0; k < size; ++k) {
      const int value =
          static_cast<int>((static_cast<size_t>(k) + rows_.size()) % static_cast<size_t>(size));
      int gain = 0;
      for (size_t other = 0; other < row.size(); ++other) {
        if (row[other] == kOpenFactor || other == factor) continue;
        gain += covered_.Has(factor, value, other, row[other]) ? 0 : 1;
      }
      order.emplace_back(-gain, value);
    }
    std::stable_sort(order.begin(), order.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<int> values;
    values.reserve(order.size());
    for (const auto& [gain, value] : order) values.push_back(value);
    return values;
  }

  const std::vector<int>& sizes_;
  const MayBe& may_be_;
  Covered covered_;
  std::vector<FactorRow> rows_;
};

}  // namespace

std::vector<FactorRow> CoverPairs(const std::vector<int>& sizes, const MayBe& may_be) {
  return Cover(sizes, may_be).TakeRows();
}

std::vector<FactorPair> MissingPairs(const std::vector<FactorRow>& rows,
                                     const std::vector<int>& sizes, const MayBe& may_be) {
  Covered covered(sizes);
  for (const FactorRow& row : rows) covered.Add(row);
  std::vector<FactorPair> missing;
  ForEachPair(sizes, [&](const FactorPair& pair) {
    if (!IsIn(covered, pair) && may_be(RowOf(pair, sizes.size()))) missing.push_back(pair);
  });
  return missing;
}

}  // namespace gradd

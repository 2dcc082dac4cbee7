#ifndef GRADD_CORE_BASE_TURNS_H_
#define GRADD_CORE_BASE_TURNS_H_

#include <algorithm>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

namespace gradd {

// Who waits for something that few can have at a time: in several lines, which take turns. However
// many stand in one line, whoever is first in another waits for one turn of each line at most.
//
// Example: after Push(a, 1), Push(a, 2), Push(a, 3), Push(b, 4), Pop() returns 1, 4, 2, 3.
//
// Not thread safe.
template <typename Waiter>
class Turns {
 public:
  // A line is used with one Turns only.
  class Line {
    friend class Turns;
    std::deque<Waiter> waiting_;
  };

  bool empty() const { return lines_.empty(); }

  // Puts `waiter` at the end of its line. A line that was empty is the last one to have its turn.
  void Push(const std::shared_ptr<Line>& line, Waiter waiter) {
    line->waiting_.push_back(std::move(waiter));
    if (line->waiting_.size() == 1) lines_.push_back(line);
  }

  // Takes out who is next: of the line whose turn it is the first for whom `suits` is true; of the
  // line after that if there is none in it; and so on.
  template <typename Suits>
  std::optional<Waiter> Pop(const Suits& suits) {
    for (auto line = lines_.begin(); line != lines_.end(); ++line) {
      std::deque<Waiter>& waiting = (*line)->waiting_;
      const auto found = std::find_if(waiting.begin(), waiting.end(), suits);
      if (found == waiting.end()) continue;
      std::optional<Waiter> next = std::move(*found);
      waiting.erase(found);
      const std::shared_ptr<Line> served = *line;
      lines_.erase(line);
      if (!waiting.empty()) lines_.push_back(served);
      return next;
    }
    return std::nullopt;
  }

 private:
  std::deque<std::shared_ptr<Line>> lines_;  // Those with somebody in them; the next one first.
};

}  // namespace gradd

#endif  // GRADD_CORE_BASE_TURNS_H_

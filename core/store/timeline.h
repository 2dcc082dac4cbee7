#ifndef GRADD_CORE_STORE_TIMELINE_H_
#define GRADD_CORE_STORE_TIMELINE_H_

#include <cstdint>
#include <string>

namespace gradd {

// Which past of which run something was computed from. A plain value.
struct Timeline {
  std::string run_uid;  // Random, of the run; 32 hexadecimal digits.
  // From 1 on: how often the run's past was given up. Steps of two timelines may have the same
  // number and not the same parameters.
  uint64_t number = 1;
};

}  // namespace gradd

#endif  // GRADD_CORE_STORE_TIMELINE_H_

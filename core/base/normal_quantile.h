#ifndef GRADD_CORE_BASE_NORMAL_QUANTILE_H_
#define GRADD_CORE_BASE_NORMAL_QUANTILE_H_

namespace gradd {

// The standard normal distribution, with the same bits on every machine (see portable_math.h).

// The number that a fraction of `p` of it lies below; p from 2^-1000 to 1 - 2^-53. Wichura 1988,
// "Algorithm AS 241: The percentage points of the normal distribution", right to about 1e-16 of its
// magnitude.
//
// With a random p it gives a random number of the distribution: one for one, so that every element
// of a vector can be drawn on its own, and in 85 % of all cases without a logarithm and a root.
double NormalQuantile(double p);

// The fraction of it that lies below `z`: what NormalQuantile() gives `z` for. Takes microseconds.
double NormalProbability(double z);

}  // namespace gradd

#endif  // GRADD_CORE_BASE_NORMAL_QUANTILE_H_

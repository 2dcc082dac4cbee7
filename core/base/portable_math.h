#ifndef GRADD_CORE_BASE_PORTABLE_MATH_H_
#define GRADD_CORE_BASE_PORTABLE_MATH_H_

namespace gradd {

// Functions of double with the same bits on every machine. Those of the C library are not: glibc
// has them once with fused multiply-add and once without, picks by the processor, and changes them
// from version to version. Whatever the state of a run depends on is computed with these, and with
// what IEEE 754 rounds correctly: + - * / and sqrt.
//
// The errors are below 1.5 units in the last place, except where a result is subnormal. Not meant
// for loops over elements; see core/optim/element_math.h.

// x^y for x >= 0. 1 where y is 0 or x is 1; for x = 0, 0 or, with y below 0, infinity.
double Power(double x, double y);

// Natural logarithm of x > 0, finite.
double Logarithm(double x);

// e^x; 0 or infinity where that leaves the range of double.
double Exponential(double x);

// Of x from -4 to 4.
double Cosine(double x);

}  // namespace gradd

#endif  // GRADD_CORE_BASE_PORTABLE_MATH_H_

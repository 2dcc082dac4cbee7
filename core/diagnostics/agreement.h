#ifndef GRADD_CORE_DIAGNOSTICS_AGREEMENT_H_
#define GRADD_CORE_DIAGNOSTICS_AGREEMENT_H_

#include <optional>
#include <string>

#include "absl/types/span.h"
#include "core/diagnostics/measured_push.h"

namespace gradd {

// The cosine of a push's gradient with the mean of all the others', by examples: 1 where they point
// the same way, -1 where the push undoes what the others do. Where gradients are mostly noise it is
// near 0, whoever's they are.
//
// With B examples in all, b of them in the push, and a = <g, G>:
//   (B a - b |g|^2) / (|g| sqrt(B^2 |G|^2 - 2 B b a + b^2 |g|^2))
//
// Unset where a push is alone, or nothing, or next to nothing is left of the mean without it.
std::optional<double> AgreementOf(const MeasuredPush& push, const MeasuredMean& mean);

// The push that agrees least.
struct LowestAgreement {
  std::string worker;
  double cosine = 0;  // In [-1, 1].
};
// Of the pushes of a step; unset where that of none is known.
std::optional<LowestAgreement> LowestAgreementOf(absl::Span<const MeasuredPush> pushes);

}  // namespace gradd

#endif  // GRADD_CORE_DIAGNOSTICS_AGREEMENT_H_

#include "worker/data/gradient_noise.h"

#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "worker/data/random.h"

namespace gradd {

absl::StatusOr<TrainAndTest> MakeGradientNoise(float deviation, uint64_t seed) {
  constexpr int64_t kFeatures = 2;
  constexpr size_t kExamples = 10'000;
  if (!std::isfinite(deviation) || deviation < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("gradient noise: ", deviation, ", a finite number of at least 0 expected"));
  }
  Random random(seed, /*stream=*/0);
  std::vector<float> noise(kExamples * kFeatures);
  for (float& number : noise) number = deviation * random.NearlyNormal();
  TrainAndTest data;
  data.train = Dataset::OfFloats(kFeatures, std::move(noise), std::vector<float>(kExamples));
  data.test = Dataset::OfFloats(kFeatures, std::vector<float>(kFeatures), std::vector<float>(1));
  return data;
}

}  // namespace gradd

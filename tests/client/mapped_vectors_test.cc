#include "client/mapped_vectors.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/shared_region.h"

namespace gradd {
namespace {

constexpr int64_t kPlaceElements = 64 * 1024;
constexpr int64_t kPlaceBytes = kPlaceElements * int64_t{sizeof(float)};
constexpr int64_t kBlocks = 3;
constexpr int64_t kPlaces = 2 * kBlocks;  // In the parameters' file.

// A server's regions, which a worker in this process maps.
class MappedVectorsTest : public testing::Test {
 protected:
  MappedVectorsTest()
      : gradient_(*SharedRegion::Create(kBlocks * kPlaceBytes, SharedRegion::Access::kPeerWrites)),
        file_(*SharedRegion::Create(kPlaces * kPlaceBytes, SharedRegion::Access::kPeerReads)),
        vectors_(*MappedVectors::Create(kBlocks * kPlaceElements)) {
    v1::SharedMemory shared;
    shared.set_process_id(getpid());
    shared.mutable_gradient()->set_file(gradient_->file());
    shared.mutable_gradient()->set_token(gradient_->token());
    shared.mutable_parameters()->set_file(file_->file());
    shared.mutable_parameters()->set_token(file_->token());
    shared.set_block_elements(kPlaceElements);
    opened_ = vectors_->Open(shared);
  }

  // Writes `value` to a place of the file.
  void Write(int64_t place, float value) {
    auto* const elements = reinterpret_cast<float*>(file_->data() + place * kPlaceBytes);
    std::fill_n(elements, kPlaceElements, value);
  }
  // Puts the places behind the blocks of the parameters, in order.
  absl::Status Map(const std::vector<int64_t>& places) {
    v1::SharedParameters parameters;
    for (const int64_t place : places) parameters.add_block_offsets(place * kPlaceBytes);
    return vectors_->Map(parameters);
  }
  // The value of each block, all of whose pages are read; -1 if it has several.
  std::vector<float> Read() const {
    std::vector<float> values;
    for (int64_t block = 0; block < kBlocks; ++block) {
      const float* const begin = vectors_->parameters().data() + block * kPlaceElements;
      const bool same = std::count(begin, begin + kPlaceElements, *begin) == kPlaceElements;
      values.push_back(same ? *begin : -1);
    }
    return values;
  }

  const std::shared_ptr<SharedRegion> gradient_;
  const std::shared_ptr<SharedRegion> file_;
  const std::unique_ptr<MappedVectors> vectors_;
  absl::Status opened_;
};

TEST_F(MappedVectorsTest, VersionsTakeTurnsInWhateverPlaces) {
  ASSERT_TRUE(opened_.ok()) << opened_;
  // Of each version, every block is in a place that the one before does not use.
  const std::vector<std::vector<int64_t>> versions = {{0, 1, 2}, {3, 4, 5}, {2, 0, 1}, {5, 3, 4},
                                                      {1, 2, 0}, {3, 4, 5}, {3, 4, 0}, {1, 2, 5}};
  float value = 1;
  for (const std::vector<int64_t>& places : versions) {
    std::vector<float> expected = Read();
    for (size_t block = 0; block < places.size(); ++block) {
      // Places that stay keep what they have.
      Write(places[block], value);
      expected[block] = value++;
    }
    ASSERT_TRUE(Map(places).ok());
    EXPECT_EQ(Read(), expected);
  }
}

TEST_F(MappedVectorsTest, ParametersOfItsOwnTakeTheirPlaceAndGiveItBack) {
  ASSERT_TRUE(opened_.ok()) << opened_;
  for (int64_t place = 0; place < kPlaces; ++place) Write(place, static_cast<float>(place));
  ASSERT_TRUE(Map({0, 1, 2}).ok());
  ASSERT_TRUE(Map({3, 4, 5}).ok());
  const auto own = vectors_->OwnParameters();
  ASSERT_TRUE(own.ok());
  std::fill(own->begin(), own->end(), 9.0F);
  EXPECT_EQ(Read(), std::vector<float>({9, 9, 9}));
  ASSERT_TRUE(Map({0, 4, 2}).ok());
  EXPECT_EQ(Read(), std::vector<float>({0, 4, 2}));
}

TEST_F(MappedVectorsTest, AVersionWhosePlacesWereReadBeforeTakesNoPageFaults) {
  ASSERT_TRUE(opened_.ok()) << opened_;
  for (int64_t place = 0; place < kPlaces; ++place) Write(place, static_cast<float>(place));
  const auto faults = [] {
    rusage usage = {};
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_minflt + usage.ru_majflt;
  };
  const std::vector<std::vector<int64_t>> versions = {{0, 1, 2}, {3, 4, 5}};
  const auto turn = [&] {
    for (const std::vector<int64_t>& places : versions) {
      ASSERT_TRUE(Map(places).ok());
      Read();
    }
  };
  turn();
  turn();
  constexpr int kTurns = 20;
  const int64_t before = faults();
  for (int i = 0; i < kTurns; ++i) turn();
  const int64_t anew = kTurns * kPlaces * kPlaceBytes / PageBytes() / 16;  // Mapped by sixteens.
  if (faults() - before >= anew) GTEST_SKIP() << "Linux 5.13 or later parks mappings";
  EXPECT_LE(faults() - before, anew / 8);
}

}  // namespace
}  // namespace gradd

#include "client/receive_buffer_pin.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace gradd {
namespace {

constexpr size_t kBufferBytes = size_t{64} << 10;
constexpr size_t kHeapBytes = size_t{64} << 20;

// Where buffers lie is all that matters: they are in memory that is only reserved, of two heaps.
class ReceiveBufferPinTest : public testing::Test {
 protected:
  ReceiveBufferPinTest() {
    room_ = static_cast<char*>(std::aligned_alloc(kHeapBytes, 2 * kHeapBytes));
    held_.resize(64);
  }
  ~ReceiveBufferPinTest() override { std::free(room_); }

  struct Held {
    ReceiveBufferPinTest* test;
    size_t index;
  };

  // gRPC has a message in these buffers of a heap, shows it, and lets it go.
  void Receive(ReceiveBufferPin* pin, size_t heap, const std::vector<size_t>& buffers,
               size_t bytes = kBufferBytes) {
    std::vector<grpc::Slice> slices;
    for (const size_t buffer : buffers) {
      const size_t index = heap * 32 + buffer;
      held_[index] = true;
      slices.emplace_back(
          room_ + heap * kHeapBytes + buffer * kBufferBytes, bytes,
          [](void* data) {
            auto* const held = static_cast<Held*>(data);
            held->test->held_[held->index] = false;
            delete held;
          },
          new Held{this, index});
    }
    pin->Note(grpc::ByteBuffer(slices.data(), slices.size()));
  }
  std::vector<size_t> StillHeld() const {
    std::vector<size_t> indices;
    for (size_t i = 0; i < held_.size(); ++i) {
      if (held_[i]) indices.push_back(i);
    }
    return indices;
  }

  char* room_;
  std::vector<bool> held_;
};

TEST_F(ReceiveBufferPinTest, KeepsTheLastBufferOfAHeap) {
  ReceiveBufferPin pin;
  Receive(&pin, 0, {3, 5, 4});
  EXPECT_EQ(StillHeld(), std::vector<size_t>({5}));
}

TEST_F(ReceiveBufferPinTest, ChangesPlacesWithOneBehindIt) {
  ReceiveBufferPin pin;
  Receive(&pin, 0, {5});
  Receive(&pin, 0, {2, 1});
  EXPECT_EQ(StillHeld(), std::vector<size_t>({5}));
  Receive(&pin, 0, {9});
  EXPECT_EQ(StillHeld(), std::vector<size_t>({9}));
}

TEST_F(ReceiveBufferPinTest, KeepsOneOfEveryHeap) {
  ReceiveBufferPin pin;
  Receive(&pin, 0, {1, 7});
  Receive(&pin, 1, {2, 4});
  EXPECT_EQ(StillHeld(), std::vector<size_t>({7, 32 + 4}));
}

TEST_F(ReceiveBufferPinTest, LeavesSmallMessagesAlone) {
  ReceiveBufferPin pin;
  Receive(&pin, 0, {6}, /*bytes=*/1000);
  EXPECT_TRUE(StillHeld().empty());
}

TEST_F(ReceiveBufferPinTest, GivesEverythingBackAtItsEnd) {
  {
    ReceiveBufferPin pin;
    Receive(&pin, 0, {6});
    Receive(&pin, 1, {6});
  }
  EXPECT_TRUE(StillHeld().empty());
}

}  // namespace
}  // namespace gradd

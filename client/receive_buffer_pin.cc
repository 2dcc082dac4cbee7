#include "client/receive_buffer_pin.h"

#include <utility>
#include <vector>

namespace gradd {
namespace {

// Smaller ones may lie within their slice, and do not matter.
constexpr size_t kLeastBytes = 4096;

}  // namespace

void ReceiveBufferPin::Note(const grpc::ByteBuffer& received) {
  std::vector<grpc::Slice> slices;
  if (!received.Dump(&slices).ok()) return;
  MutexLock lock(&mutex_);
  for (grpc::Slice& slice : slices) {
    if (slice.size() < kLeastBytes) continue;
    const uintptr_t heap = reinterpret_cast<uintptr_t>(slice.begin()) >> kHeapBits;
    const auto found = last_.find(heap);
    if (found != last_.end()) {
      if (slice.begin() > found->second.begin()) found->second = std::move(slice);
    } else if (last_.size() < kMostHeaps) {
      last_.emplace(heap, std::move(slice));
    }
  }
}

}  // namespace gradd

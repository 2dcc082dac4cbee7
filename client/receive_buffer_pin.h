#ifndef GRADD_CLIENT_RECEIVE_BUFFER_PIN_H_
#define GRADD_CLIENT_RECEIVE_BUFFER_PIN_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <cstdint>
#include <map>

#include "core/base/mutex.h"

namespace gradd {

// Keeps the heap that gRPC receives into at its size. gRPC takes a new buffer for whatever it
// reads, and all of them are free again once a message has been decoded. glibc's malloc then gives
// the end of its heap back to the kernel, as soon as 128 KiB are free there, and has every page of
// it zeroed anew for the next message: of a large model, up to a page fault for each page, each
// costing more than all else that is done with the page.
//
// What is free is given back only from the end. So a buffer that stays where the heap ends keeps
// all those below it, whatever the settings of malloc are, which are those of the program that uses
// this library. It costs one buffer, 64 KiB, in each heap that threads read into.
//
// Thread safe.
class ReceiveBufferPin {
 public:
  // Takes the place of the buffer that is kept, if one of these lies behind it.
  void Note(const grpc::ByteBuffer& received);

 private:
  // glibc's heaps are aligned to so much and not larger, except the main one.
  static constexpr int kHeapBits = 26;
  static constexpr size_t kMostHeaps = 32;

  Mutex mutex_;
  std::map<uintptr_t, grpc::Slice> last_ ABSL_GUARDED_BY(mutex_);  // By heap.
};

}  // namespace gradd

#endif  // GRADD_CLIENT_RECEIVE_BUFFER_PIN_H_

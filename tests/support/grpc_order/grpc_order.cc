// Tells ThreadSanitizer the order that Debian's Abseil and gRPC keep, which are built without it:
// it sees neither absl::Mutex nor gRPC's queues, so that what one thread hands to another through
// them looks like a race. This library has functions of their names and is linked before them: each
// calls the one that it stands before, and says what happens before what. The mangled names are
// those of absl/synchronization/mutex.h and of src/core/lib/gprpp/mpscq.h in gRPC 1.51;
// __tsan_acquire and
// __tsan_release are ThreadSanitizer's own (compiler-rt, lib/tsan/rtl/tsan_interface.h).

#include <dlfcn.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>

#include "absl/time/time.h"

extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}

namespace {

template <typename Function>
Function* Next(const char* name) {
  void* const next = dlsym(RTLD_NEXT, name);
  if (next == nullptr) std::abort();
  return reinterpret_cast<Function*>(next);
}

// Of ServerCallbackCall::callbacks_outstanding_: behind the table of virtual functions and another
// count.
constexpr size_t kReferencesOffset = sizeof(void*) + sizeof(std::atomic_int);

}  // namespace

// The function of the library behind this one with the name and the type of `function`.
#define NEXT(function)                                             \
  ([] {                                                            \
    static auto* const next = Next<decltype(function)>(#function); \
    return next;                                                   \
  }())

extern "C" {

// absl::Mutex: who locks comes after who unlocked.

void _ZN4absl7debian35Mutex4LockEv(void* mutex) {
  NEXT(_ZN4absl7debian35Mutex4LockEv)(mutex);
  __tsan_acquire(mutex);
}

bool _ZN4absl7debian35Mutex7TryLockEv(void* mutex) {
  const bool locked = NEXT(_ZN4absl7debian35Mutex7TryLockEv)(mutex);
  if (locked) __tsan_acquire(mutex);
  return locked;
}

void _ZN4absl7debian35Mutex6UnlockEv(void* mutex) {
  __tsan_release(mutex);
  NEXT(_ZN4absl7debian35Mutex6UnlockEv)(mutex);
}

// absl::CondVar: who waits unlocks, and locks again.

void _ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(void* condition, void* mutex) {
  __tsan_release(mutex);
  NEXT(_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE)(condition, mutex);
  __tsan_acquire(mutex);
}

bool _ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE(void* condition,
                                                                          void* mutex,
                                                                          absl::Duration timeout) {
  __tsan_release(mutex);
  const bool timed_out = NEXT(_ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE)(
      condition, mutex, timeout);
  __tsan_acquire(mutex);
  return timed_out;
}

bool _ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE(void* condition, void* mutex,
                                                                       absl::Time deadline) {
  __tsan_release(mutex);
  const bool timed_out = NEXT(_ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE)(
      condition, mutex, deadline);
  __tsan_acquire(mutex);
  return timed_out;
}

// grpc_core::MultiProducerSingleConsumerQueue: who takes a node out comes after who put it in.

bool _ZN9grpc_core32MultiProducerSingleConsumerQueue4PushEPNS0_4NodeE(void* queue, void* node) {
  __tsan_release(queue);
  return NEXT(_ZN9grpc_core32MultiProducerSingleConsumerQueue4PushEPNS0_4NodeE)(queue, node);
}

void* _ZN9grpc_core32MultiProducerSingleConsumerQueue14PopAndCheckEndEPb(void* queue, bool* empty) {
  void* const node =
      NEXT(_ZN9grpc_core32MultiProducerSingleConsumerQueue14PopAndCheckEndEPb)(queue, empty);
  __tsan_acquire(queue);
  return node;
}

// grpc::internal::ServerCallbackCall (grpcpp/support/server_callback.h): who ends a call comes
// after all who gave back their reference to it, some of which was inlined here and some into gRPC.

void _ZN4grpc8internal18ServerCallbackCall14ScheduleOnDoneEb(void* call, bool at_once) {
  __tsan_acquire(static_cast<char*>(call) + kReferencesOffset);
  NEXT(_ZN4grpc8internal18ServerCallbackCall14ScheduleOnDoneEb)(call, at_once);
}

}  // extern "C"

namespace {

// Whether programs call this library's function: no other with that name is ahead of it.
template <typename Function>
bool IsFirst(Function* function, const char* name) {
  return dlsym(RTLD_DEFAULT, name) == reinterpret_cast<void*>(function);
}
#define IS_FIRST(function) IsFirst(function, #function)

// One of each library: of those that are not first, nothing would be told.
[[gnu::constructor]] void CheckOrder() {
  const bool first = IS_FIRST(_ZN4absl7debian35Mutex4LockEv) &&
                     IS_FIRST(_ZN9grpc_core32MultiProducerSingleConsumerQueue4PushEPNS0_4NodeE) &&
                     IS_FIRST(_ZN4grpc8internal18ServerCallbackCall14ScheduleOnDoneEb);
  if (!first) std::abort();
}

}  // namespace

#undef IS_FIRST
#undef NEXT

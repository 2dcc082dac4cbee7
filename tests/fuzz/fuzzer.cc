// Searches for bytes for which a check of checks.h, GRADD_FUZZ_CHECK, finds something, or that make
// what it checks misbehave. tests/fuzz/run.sh builds and runs it.

#include <google/protobuf/stubs/logging.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/fuzz/checks.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  // It would print a line for each wrong string.
  google::protobuf::SetLogHandler(nullptr);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const gradd::FuzzInput input({reinterpret_cast<const char*>(data), size});
  const std::string difference = gradd::GRADD_FUZZ_CHECK(input.bytes, input.cuts);
  if (!difference.empty()) {
    std::fprintf(stderr, "%s\n", difference.c_str());
    std::abort();
  }
  return 0;
}

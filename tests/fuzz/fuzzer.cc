// Searches for bytes that the data plane's parser does not treat as the generated classes do, or
// that make it misbehave:
//   cmake --preset fuzz && cmake --build --preset fuzz
//   build/fuzz/tests/transport/parse_fuzzer -max_total_time=600 CORPUS_DIRECTORY

#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/transport/parse_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto* const kQuiet = google::protobuf::SetLogHandler(nullptr);
  static_cast<void>(kQuiet);
  // Up to eight bytes say how the rest is cut.
  const absl::string_view all(reinterpret_cast<const char*>(data), size);
  const size_t cuts = all.empty() ? 0 : static_cast<size_t>(data[0] % 9);
  const absl::string_view rest = all.substr(all.empty() ? 0 : 1);
  const std::string difference = gradd::CheckParsing(rest.substr(std::min(cuts, rest.size())),
                                                     rest.substr(0, std::min(cuts, rest.size())));
  if (!difference.empty()) {
    std::fprintf(stderr, "%s\n", difference.c_str());
    std::abort();
  }
  return 0;
}

#ifndef GRADD_TESTS_FUZZ_INPUT_H_
#define GRADD_TESTS_FUZZ_INPUT_H_

#include <random>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace gradd {

// `bytes` in pieces: each byte of `cuts` is the size of one, over and over. Some may be empty.
std::vector<absl::string_view> Cut(absl::string_view bytes, absl::string_view cuts);

// What a check is called with, as one string, which is what fuzzers and corpora have.
struct FuzzInput {
  explicit FuzzInput(absl::string_view input);

  absl::string_view cuts;
  absl::string_view bytes;
};

// Up to four cuts, a few bytes each.
std::string RandomCuts(std::mt19937* random);

// One of `seeds`, or several put together, with a few bytes changed.
std::string Mutate(const std::vector<std::string>& seeds, std::mt19937* random);

// The inputs that are checked in as corpus/NAME.txt: those that reach different code, as a fuzzer
// found them. Each is a line of hexadecimal digits. Throws if there are none.
std::vector<std::string> Corpus(const std::string& name);

}  // namespace gradd

#endif  // GRADD_TESTS_FUZZ_INPUT_H_

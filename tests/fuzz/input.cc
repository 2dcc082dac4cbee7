#include "tests/fuzz/input.h"

#include <algorithm>
#include <fstream>
#include <stdexcept>

#include "absl/strings/escaping.h"

namespace gradd {

std::vector<absl::string_view> Cut(absl::string_view bytes, absl::string_view cuts) {
  std::vector<absl::string_view> pieces;
  size_t next = 0;
  while (!bytes.empty()) {
    size_t size = bytes.size();
    if (!cuts.empty()) {
      size = static_cast<unsigned char>(cuts[next % cuts.size()]);
      // Not for ever.
      if (++next % cuts.size() == 0) size = std::max<size_t>(size, 1);
    }
    pieces.push_back(bytes.substr(0, size));
    bytes.remove_prefix(pieces.back().size());
  }
  return pieces;
}

FuzzInput::FuzzInput(absl::string_view input) {
  // The first byte says how many cuts come next, eight at most.
  const size_t count = input.empty() ? 0 : static_cast<unsigned char>(input.front()) % 9;
  input = input.substr(std::min<size_t>(1, input.size()));
  cuts = input.substr(0, count);
  bytes = input.substr(cuts.size());
}

std::string RandomCuts(std::mt19937* random) {
  std::string cuts((*random)() % 5, '\0');
  for (char& cut : cuts) cut = static_cast<char>((*random)() % 20);
  return cuts;
}

std::string Mutate(const std::vector<std::string>& seeds, std::mt19937* random) {
  const auto below = [random](size_t bound) { return (*random)() % bound; };
  std::string bytes = seeds[below(seeds.size())];
  const size_t changes = below(6);
  for (size_t i = 0; i < changes; ++i) {
    const size_t at = below(bytes.size() + 1);
    switch (below(5)) {
      case 0:
        bytes.insert(at, seeds[below(seeds.size())]);
        break;
      case 1:
        bytes += seeds[below(seeds.size())];
        break;
      case 2:
        bytes.erase(at, below(4));
        break;
      case 3:
        bytes.insert(at, 1, static_cast<char>(below(256)));
        break;
      default:
        if (at == bytes.size()) break;
        bytes[at] = static_cast<char>(below(2) == 0 ? below(256) : below(40));
    }
  }
  return bytes;
}

std::vector<std::string> Corpus(const std::string& name) {
  std::ifstream file(std::string(GRADD_FUZZ_CORPORA) + "/" + name + ".txt");
  std::vector<std::string> inputs;
  for (std::string line; std::getline(file, line);) inputs.push_back(absl::HexStringToBytes(line));
  if (inputs.empty()) throw std::runtime_error("no corpus " + name);
  return inputs;
}

}  // namespace gradd

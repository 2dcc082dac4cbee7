#ifndef GRADD_TESTS_WORKER_DATA_FILES_H_
#define GRADD_TESTS_WORKER_DATA_FILES_H_

#include <gtest/gtest.h>
#include <stdlib.h>
#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace gradd {

// A directory of its own for each test, removed at its end.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = testing::TempDir() + "/gradd_worker_XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }

  std::string Write(const std::string& name, const std::string& content) const {
    const std::string path = path_ + "/" + name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

 private:
  std::string path_;
};

// `content` as a gzip file has it.
inline std::string Gzip(const std::string& content) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/file.gz";
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
  gzclose(file);
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// An IDX file of these dimensions, whatever `data` has.
inline std::string Idx(const std::vector<uint32_t>& shape, const std::string& data) {
  std::string content = {0, 0, 8, static_cast<char>(shape.size())};
  for (const uint32_t dimension : shape) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      content.push_back(static_cast<char>(dimension >> shift & 0xff));
    }
  }
  return content + data;
}

}  // namespace gradd

#endif  // GRADD_TESTS_WORKER_DATA_FILES_H_

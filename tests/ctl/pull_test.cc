#include "ctl/pull.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "ctl/parameter_file.h"
#include "ctl/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/ctl/fake_console.h"
#include "tests/ctl/fake_server.h"

namespace gradd::ctl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

v1::ParameterChunk Chunk(int64_t offset, const std::vector<float>& values, int64_t step = 42) {
  v1::ParameterChunk chunk;
  chunk.set_offset(offset);
  chunk.set_encoding(v1::ENCODING_FLOAT32);
  chunk.set_step(step);
  chunk.set_parameter_count(7);
  chunk.set_data(values.data(), values.size() * sizeof(float));
  return chunk;
}

std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

std::vector<float> Floats(const std::string& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

class PullTest : public ::testing::Test {
 protected:
  PullTest() {
    std::string pattern = ::testing::TempDir() + "/pull.XXXXXX";
    directory_ = mkdtemp(pattern.data());
    v1::Run& run = server_.runs["runs/x"];
    run.set_name("runs/x");
    run.set_parameter_count(7);
    v1::Tensor& weights = *run.mutable_layout()->add_tensors();
    weights.set_name("layer1/weights");
    weights.add_shape(2);
    weights.add_shape(3);
    run.mutable_layout()->add_tensors()->set_name("bias");
    Send({Chunk(0, {0, 1, 2, 3}), Chunk(4, {4, 5, 6})});
  }

  ~PullTest() override {
    for (const std::string& name : Files()) unlink((directory_ + "/" + name).c_str());
    rmdir(directory_.c_str());
  }

  void Send(std::vector<v1::ParameterChunk> chunks, const grpc::Status& status = grpc::Status::OK) {
    server_.pull = [chunks = std::move(chunks), status](
                       const v1::PullRequest&, grpc::ServerWriter<v1::ParameterChunk>* writer) {
      for (const v1::ParameterChunk& chunk : chunks) writer->Write(chunk);
      return status;
    };
  }

  int Pull(const std::string& output, std::vector<std::string> more = {}) {
    std::vector<std::string> args = {"--server", server_.address(), "pull",
                                     "x",        "--output",        output};
    args.insert(args.end(), more.begin(), more.end());
    server_.Synchronize();
    const int code = console_.Run(args);
    server_.Synchronize();
    return code;
  }

  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    DIR* directory = opendir(directory_.c_str());
    while (const dirent* entry = readdir(directory)) {
      if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    }
    closedir(directory);
    return names;
  }

  std::string directory_;
  FakeServer server_;
  FakeConsole console_;
};

TEST_F(PullTest, WritesTheFlatVectorAsFloat32) {
  const std::string path = directory_ + "/x.f32";
  ASSERT_EQ(Pull(path), kExitOk) << console_.err;
  EXPECT_THAT(Floats(Contents(path)), ElementsAre(0, 1, 2, 3, 4, 5, 6));
  EXPECT_EQ(console_.out, "x: 7 parameters of step 42 written to " + path + "\n");
  EXPECT_EQ(server_.pulls.at(0).view(), v1::PARAMETER_VIEW_EVALUATION);
  EXPECT_THAT(Files(), ElementsAre("x.f32"));
}

TEST_F(PullTest, BeginsAgainAtANewerStepWhenItsVersionIsLost) {
  server_.pull = [this](const v1::PullRequest&, grpc::ServerWriter<v1::ParameterChunk>* writer) {
    const bool first = server_.pulls.size() == 1;
    std::vector<v1::ParameterChunk> chunks = {Chunk(0, {9, 9, 9, 9})};
    if (!first) chunks = {Chunk(0, {0, 1, 2, 3}), Chunk(4, {4, 5, 6})};
    for (v1::ParameterChunk& chunk : chunks) {
      chunk.set_step(first ? 1 : 5);
      writer->Write(chunk);
    }
    return first ? grpc::Status(grpc::StatusCode::ABORTED, "read too slowly") : grpc::Status::OK;
  };
  const std::string path = directory_ + "/x.f32";
  ASSERT_EQ(Pull(path), kExitOk) << console_.err;
  EXPECT_THAT(Floats(Contents(path)), ElementsAre(0, 1, 2, 3, 4, 5, 6));
  EXPECT_THAT(console_.out, HasSubstr("of step 5"));
  EXPECT_EQ(server_.pulls.size(), 2U);
}

TEST_F(PullTest, ALostVersionIsNotBegunAgainForEver) {
  Send({Chunk(0, {1})}, grpc::Status(grpc::StatusCode::ABORTED, "read too slowly"));
  EXPECT_EQ(Pull(directory_ + "/x.f32"), kExitRefused);
  EXPECT_EQ(server_.pulls.size(), 10U);
  EXPECT_TRUE(Files().empty());
}

TEST_F(PullTest, WritesSafetensorsThatAReaderFindsItsTensorsIn) {
  const std::string path = directory_ + "/x.safetensors";
  ASSERT_EQ(Pull(path), kExitOk) << console_.err;
  const std::string bytes = Contents(path);
  // As the format's description says: length, header, data.
  ASSERT_GE(bytes.size(), 8);
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | static_cast<unsigned char>(bytes[i]);
  ASSERT_EQ(length % 8, 0);
  ASSERT_EQ(bytes.size(), 8 + length + 7 * sizeof(float));
  EXPECT_EQ(bytes[8], '{');
  const nlohmann::json header = nlohmann::json::parse(bytes.substr(8, length));
  EXPECT_EQ(header["__metadata__"]["run"], "runs/x");
  EXPECT_EQ(header["__metadata__"]["step"], "42");
  EXPECT_EQ(header.size(), 3);
  EXPECT_EQ(header["layer1/weights"],
            nlohmann::json::parse(R"({"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]})"));
  EXPECT_EQ(header["bias"],
            nlohmann::json::parse(R"({"dtype": "F32", "shape": [], "data_offsets": [24, 28]})"));
  EXPECT_THAT(Floats(bytes.substr(8 + length)), ElementsAre(0, 1, 2, 3, 4, 5, 6));
}

TEST_F(PullTest, TheTrainingViewCanBeAskedFor) {
  ASSERT_EQ(Pull(directory_ + "/x.f32", {"--view", "training"}), kExitOk);
  EXPECT_EQ(server_.pulls.at(0).view(), v1::PARAMETER_VIEW_TRAINING);
}

TEST_F(PullTest, JsonSaysWhatWasWritten) {
  const std::string path = directory_ + "/x.f32";
  ASSERT_EQ(Pull(path, {"--json"}), kExitOk);
  const nlohmann::json json = nlohmann::json::parse(console_.out);
  EXPECT_EQ(json["step"], "42");
  EXPECT_EQ(json["parameter_count"], "7");
  EXPECT_EQ(json["output"], path);
}

TEST_F(PullTest, APathThatCannotBeWrittenFailsBeforeTheDownload) {
  EXPECT_EQ(Pull(directory_ + "/no/such/directory/x.f32"), kExitRefused);
  EXPECT_THAT(console_.err, HasSubstr("No such file or directory"));
  mkdir((directory_ + "/taken.f32").c_str(), 0700);
  EXPECT_EQ(Pull(directory_ + "/taken.f32"), kExitRefused);
  EXPECT_THAT(console_.err, HasSubstr("not a regular file"));
  rmdir((directory_ + "/taken.f32").c_str());
  EXPECT_EQ(Pull(directory_ + "/x.bin"), kExitUsage);
  EXPECT_THAT(server_.pulls, IsEmpty());
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(PullTest, AFileIsReplacedOnlyByACompleteOne) {
  const std::string path = directory_ + "/x.f32";
  std::ofstream(path) << "old";
  Send({Chunk(0, {0, 1, 2, 3})}, grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone"));
  EXPECT_EQ(Pull(path), kExitUnreachable);
  EXPECT_EQ(Contents(path), "old");
  EXPECT_THAT(Files(), ElementsAre("x.f32"));
  Send({Chunk(0, {0, 1, 2, 3, 4, 5, 6})});
  EXPECT_EQ(Pull(path), kExitOk);
  EXPECT_THAT(Floats(Contents(path)), SizeIs(7));
}

TEST_F(PullTest, ChunksThatDoNotMakeAVectorAreRefused) {
  v1::ParameterChunk odd = Chunk(0, {0, 1});
  odd.mutable_data()->push_back('x');
  const std::vector<std::vector<v1::ParameterChunk>> bad = {
      {},
      {Chunk(0, {0, 1, 2})},
      {Chunk(1, {1, 2, 3, 4, 5, 6})},
      {Chunk(0, {0, 1, 2, 3}), Chunk(3, {3, 4, 5, 6})},
      {Chunk(0, {0, 1, 2, 3}), Chunk(4, {4, 5, 6}, 43)},
      {Chunk(0, {0, 1, 2, 3, 4, 5, 6, 7})},
      {odd}};
  for (size_t i = 0; i < bad.size(); ++i) {
    Send(bad[i]);
    EXPECT_EQ(Pull(directory_ + "/x.f32"), kExitRefused) << i;
    EXPECT_THAT(console_.err, HasSubstr("DATA_LOSS")) << i;
    EXPECT_FALSE(Exists(directory_ + "/x.f32")) << i;
  }
  EXPECT_THAT(Files(), IsEmpty());
}

TEST(SafetensorsHeaderTest, ATensorNamedAsTheMetadataIsRefused) {
  v1::Run run;
  run.mutable_layout()->add_tensors()->set_name("__metadata__");
  EXPECT_FALSE(SafetensorsHeader(run, 0).ok());
}

}  // namespace
}  // namespace gradd::ctl

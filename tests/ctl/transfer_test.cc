#include "ctl/transfer.h"

#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "core/base/file_system.h"
#include "core/codec/dense.h"
#include "core/durability/safetensors_reader.h"
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

std::string BytesOf(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

// Parameters, a slot between them, and a checksum, as checkpoints have it.
std::string CheckpointBytes() {
  gradd::SafetensorsHeader header;
  header.metadata = {{"format", "gradd"}, {"run", "x"}, {"step", "42"}, {"state", "long"}};
  header.tensors = {{"optimizer/plan/next_step", FindSafetensorsType("I64"), {1}},
                    {"w", FindSafetensorsType("F32"), {2, 3}},
                    {"b", FindSafetensorsType("F32"), {}},
                    {"optimizer/first_moment/w", FindSafetensorsType("F32"), {2, 3}},
                    {"optimizer/checksum", FindSafetensorsType("U8"), {16}}};
  return *FormatSafetensorsHeader(&header) + std::string(8, '\1') + BytesOf({0, 1, 2, 3, 4, 5}) +
         BytesOf({6.0625}) + BytesOf({9, 9, 9, 9, 9, 9}) + std::string(16, '\2');
}

class CtlTransferTest : public ::testing::Test {
 protected:
  CtlTransferTest() {
    std::string pattern = ::testing::TempDir() + "/transfer.XXXXXX";
    directory_ = mkdtemp(pattern.data());
    v1::Run& run = server_.runs["runs/x"];
    run.set_name("runs/x");
    run.set_parameter_count(7);
    v1::Tensor& weights = *run.mutable_layout()->add_tensors();
    weights.set_name("w");
    weights.add_shape(2);
    weights.add_shape(3);
    run.mutable_layout()->add_tensors()->set_name("b");
    server_.pull = [](const v1::PullRequest&, grpc::ServerWriter<v1::ParameterChunk>* writer) {
      v1::ParameterChunk chunk;
      chunk.set_encoding(v1::ENCODING_FLOAT32);
      chunk.set_step(42);
      chunk.set_parameter_count(7);
      chunk.set_data(BytesOf({0, 1, 2, 3}));
      writer->Write(chunk);
      chunk.set_offset(4);
      chunk.set_data(BytesOf({4, 5, 6.0625}));
      writer->Write(chunk);
      return grpc::Status::OK;
    };
    Export(CheckpointBytes(), 1000);
  }
  ~CtlTransferTest() override { std::filesystem::remove_all(directory_); }

  void Export(const std::string& file, size_t piece, int64_t missing = 0) {
    server_.exporter = [=](const v1::ExportRunRequest&,
                           grpc::ServerWriter<v1::ExportRunResponse>* writer) {
      for (size_t at = 0; at < file.size(); at += piece) {
        v1::ExportRunResponse response;
        if (at == 0) {
          response.set_total_bytes(static_cast<int64_t>(file.size()) + missing);
          response.set_step(42);
        }
        response.set_data(file.substr(at, piece));
        writer->Write(response);
      }
      return grpc::Status::OK;
    };
  }

  int Run(std::vector<std::string> args) {
    args.insert(args.begin(), {"--server", server_.address()});
    server_.Synchronize();
    const int code = console_.Run(args);
    server_.Synchronize();
    return code;
  }

  std::string Path(const std::string& name) const { return directory_ + "/" + name; }
  static std::string Contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void Write(const std::string& name, const std::string& data) const {
    std::ofstream(Path(name), std::ios::binary) << data;
  }
  std::vector<std::string> Files() const { return *FileSystem::Real()->List(directory_); }

  // What is in a file that has parameters alone.
  void ExpectParameters(const std::string& path, const char* type) {
    const auto reader = SafetensorsReader::Open(FileSystem::Real(), path);
    ASSERT_TRUE(reader.ok()) << reader.status();
    ASSERT_EQ((*reader)->tensors().size(), 2);
    const SafetensorsTensor& w = (*reader)->tensors()[0];
    EXPECT_EQ(w.name, "w");
    EXPECT_STREQ(w.type->name, type);
    EXPECT_THAT(w.shape, ElementsAre(2, 3));
    std::vector<float> values(6);
    ASSERT_TRUE((*reader)->ReadFloats(w, 0, 6, values.data()).ok());
    EXPECT_THAT(values, ElementsAre(0, 1, 2, 3, 4, 5));
    float b = 0;
    ASSERT_TRUE((*reader)->ReadFloats((*reader)->tensors()[1], 0, 1, &b).ok());
    EXPECT_EQ(b, 6.0625);
    EXPECT_EQ((*reader)->metadata().at("step"), "42");
  }

  std::string directory_;
  FakeServer server_;
  FakeConsole console_;
};

TEST_F(CtlTransferTest, ExportWritesTheCheckpointAsItIs) {
  ASSERT_EQ(Run({"export", "x", Path("x.safetensors")}), kExitOk) << console_.err;
  EXPECT_EQ(Contents(Path("x.safetensors")), CheckpointBytes());
  EXPECT_EQ(console_.out, "x: a checkpoint of step 42 written to " + Path("x.safetensors") + "\n");
  EXPECT_FALSE(server_.exports.at(0).has_step());
  EXPECT_THAT(Files(), ElementsAre("x.safetensors"));
}

TEST_F(CtlTransferTest, ExportKeepsParametersOfACheckpointHoweverItIsCut) {
  for (const size_t piece : {1, 3, 7, 1000}) {
    Export(CheckpointBytes(), piece);
    for (const auto& [type, name] :
         {std::pair("f32", "F32"), std::pair("bf16", "BF16"), std::pair("f16", "F16")}) {
      const std::string path = Path(type);
      ASSERT_EQ(Run({"export", "x", path, "--parameters-only", "--step", "42", "--timeline", "2",
                     "--dtype", type}),
                kExitOk)
          << console_.err;
      ExpectParameters(path, name);
    }
  }
  EXPECT_EQ(server_.exports.at(0).step(), 42);
  EXPECT_EQ(server_.exports.at(0).timeline(), 2);
  EXPECT_TRUE(server_.pulls.empty());
}

TEST_F(CtlTransferTest, ParametersOfThePresentStepArePulled) {
  ASSERT_EQ(Run({"--json", "export", "x", Path("a"), "--parameters-only"}), kExitOk)
      << console_.err;
  ExpectParameters(Path("a"), "F32");
  const nlohmann::json json = nlohmann::json::parse(console_.out);
  EXPECT_EQ(json["step"], "42");
  EXPECT_EQ(json["output"], Path("a"));
  ASSERT_EQ(Run({"export", "x", Path("b"), "--dtype", "f16"}), kExitOk) << console_.err;
  ExpectParameters(Path("b"), "F16");
  EXPECT_TRUE(server_.exports.empty());
}

TEST_F(CtlTransferTest, NumbersOutOfTheRangeOfF16AreCounted) {
  server_.pull = [](const v1::PullRequest&, grpc::ServerWriter<v1::ParameterChunk>* writer) {
    v1::ParameterChunk chunk;
    chunk.set_encoding(v1::ENCODING_FLOAT32);
    chunk.set_data(BytesOf({0, 1e6, 2, -1e6, 4, 5, 6}));
    writer->Write(chunk);
    return grpc::Status::OK;
  };
  ASSERT_EQ(Run({"export", "x", Path("x"), "--dtype", "f16"}), kExitOk);
  EXPECT_THAT(console_.err, HasSubstr("2 parameters are out of the range of f16"));
}

TEST_F(CtlTransferTest, AFileThatIsNotCompleteIsNotThere) {
  Export(CheckpointBytes(), 100, /*missing=*/1);
  EXPECT_EQ(Run({"export", "x", Path("x")}), kExitRefused);
  EXPECT_THAT(console_.err, HasSubstr("bytes of a checkpoint"));
  EXPECT_THAT(Files(), IsEmpty());
  server_.exporter = [](const v1::ExportRunRequest&, grpc::ServerWriter<v1::ExportRunResponse>*) {
    return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "no --state-dir");
  };
  EXPECT_EQ(Run({"export", "x", Path("x")}), kExitRefused);
  EXPECT_THAT(console_.err, HasSubstr("no --state-dir"));
  std::string lies = CheckpointBytes();
  lies[7] = '\x7f';
  Export(lies, 100);
  EXPECT_EQ(Run({"export", "x", Path("x"), "--parameters-only", "--step", "42"}), kExitRefused);
  EXPECT_THAT(console_.err, HasSubstr("a header of"));
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(CtlTransferTest, CreateFromSendsTheFileAndTheOptions) {
  const std::string file = CheckpointBytes() + std::string(1'500'000, 'x');
  Write("w.safetensors", file);
  // As downloads are kept.
  std::filesystem::create_symlink(Path("w.safetensors"), Path("link.safetensors"));
  console_.width = 80;
  ASSERT_EQ(Run({"create", "y", "--from", Path("link.safetensors"), "--optimizer", "adam",
                 "--learning-rate", "0.5", "--label", "a=b"}),
            kExitOk)
      << console_.err;
  const FakeServer::Import& import = server_.imports.at(0);
  EXPECT_EQ(import.data, file);
  EXPECT_EQ(import.begin.run_id(), "y");
  EXPECT_EQ(import.begin.total_bytes(), static_cast<int64_t>(file.size()));
  EXPECT_EQ(import.begin.file(), "link.safetensors");
  EXPECT_FALSE(import.begin.run().has_layout());
  EXPECT_TRUE(import.begin.run().optimizer().has_adam());
  EXPECT_EQ(import.begin.run().labels().at("a"), "b");
  EXPECT_FALSE(import.begin.request_id().empty());
  EXPECT_THAT(console_.out, HasSubstr("y: created from "));
  EXPECT_THAT(console_.out, HasSubstr("1.5 MB, 100 %"));
}

TEST_F(CtlTransferTest, ALayoutGoesWithTheFile) {
  Write("w.safetensors", "12345678{");
  ASSERT_EQ(console_.Run({"--server", server_.address(), "create", "y", "--from",
                          Path("w.safetensors"), "--layout", "-", "--learning-rate", "0.5"},
                         R"({"tensors": [{"name": "w", "shape": [3]}]})"),
            kExitOk)
      << console_.err;
  EXPECT_EQ(server_.imports.at(0).begin.run().layout().tensors(0).name(), "w");
}

TEST_F(CtlTransferTest, ImportSendsNoRun) {
  Write("c.safetensors", CheckpointBytes());
  ASSERT_EQ(Run({"import", "y", Path("c.safetensors"), "--with-state"}), kExitOk) << console_.err;
  EXPECT_FALSE(server_.imports.at(0).begin.has_run());
  EXPECT_TRUE(server_.imports.at(0).begin.with_state());
}

TEST_F(CtlTransferTest, ASendingIsTriedAgainAsTheSameRequest) {
  Write("c.safetensors", CheckpointBytes());
  server_.unavailable_calls = 2;
  ASSERT_EQ(Run({"import", "y", Path("c.safetensors")}), kExitOk) << console_.err;
  EXPECT_EQ(server_.imports.at(0).data, CheckpointBytes());
  EXPECT_EQ(console_.waits.size(), 2);
}

TEST_F(CtlTransferTest, WhatTheServerRefusesIsSaid) {
  Write("c.safetensors", std::string(20'000'000, 'x'));
  server_.import_refusal = "c.safetensors: tensor \"w\" is missing";
  EXPECT_EQ(Run({"import", "y", Path("c.safetensors")}), kExitRefused);
  EXPECT_THAT(console_.err, HasSubstr("c.safetensors: tensor \"w\" is missing"));
}

TEST_F(CtlTransferTest, FilesThatCannotBeReadAreNotSent) {
  EXPECT_EQ(Run({"import", "y", Path("none")}), kExitUsage);
  EXPECT_THAT(console_.err, HasSubstr("cannot read"));
  EXPECT_EQ(Run({"import", "y", directory_}), kExitUsage);
  Write("empty", "");
  EXPECT_EQ(Run({"import", "y", Path("empty")}), kExitUsage);
  EXPECT_EQ(Run({"create", "y", "--from", Path("none")}), kExitUsage);
  EXPECT_EQ(Run({"export", "x"}), kExitUsage);
  EXPECT_EQ(Run({"export", "x", Path("f"), "--step", "-1"}), kExitUsage);
  EXPECT_EQ(Run({"export", "x", Path("f"), "--dtype", "f64"}), kExitUsage);
  EXPECT_TRUE(server_.imports.empty());
}

}  // namespace
}  // namespace gradd::ctl

#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/durability/safetensors_header.h"
#include "tests/server/test_server.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using ::testing::HasSubstr;

std::string FileOfFloats(int64_t elements) {
  SafetensorsHeader header;
  header.tensors.push_back({"w", FindSafetensorsType("F32"), {elements}});
  const std::vector<float> values(static_cast<size_t>(elements), 0.25F);
  return *FormatSafetensorsHeader(&header) +
         std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
}

class TransferTest : public testing::Test {
 protected:
  explicit TransferTest(bool keeps = true, absl::Duration patience = absl::Minutes(1)) {
    std::string pattern = testing::TempDir() + "/transfer.XXXXXX";
    directory_ = mkdtemp(pattern.data());
    ServerOptions options = TestServerOptions("");
    if (keeps) options.state_dir = directory_ + "/state";
    options.peer_patience = patience;
    options.limits.max_imports = 4;  // And one for each caller.
    options.limits.max_pulls = 4;
    server_ = *Server::Start(options);
    runs_ = v1::RunService::NewStub(
        grpc::CreateChannel(server_->grpc_address(), grpc::InsecureChannelCredentials()));
  }
  ~TransferTest() override {
    server_.reset();
    std::filesystem::remove_all(directory_);
  }

  static v1::ImportRunRequest BeginOf(const std::string& file, const std::string& run_id = "r") {
    v1::ImportRunRequest request;
    v1::ImportBegin& begin = *request.mutable_begin();
    begin.set_run_id(run_id);
    begin.set_request_id("once");
    *begin.mutable_run() = SynchronousSpec(1, 1);
    begin.mutable_run()->clear_layout();
    begin.set_total_bytes(static_cast<int64_t>(file.size()));
    return request;
  }

  static v1::ImportRunRequest DataOf(const std::string& data) {
    v1::ImportRunRequest request;
    request.set_data(data);
    return request;
  }

  static std::string ReasonIn(const grpc::ClientContext& context) {
    const auto& trailers = context.GetServerTrailingMetadata();
    const auto reason = trailers.find("gradd-reason");
    return reason == trailers.end() ? ""
                                    : std::string(reason->second.data(), reason->second.size());
  }

  // What the server says to these, one after the other.
  std::string Send(const std::vector<v1::ImportRunRequest>& requests, v1::Run* run) {
    grpc::ClientContext context;
    const auto writer = runs_->ImportRun(&context, run);
    for (const v1::ImportRunRequest& request : requests) {
      if (!writer->Write(request)) break;
    }
    writer->WritesDone();
    const grpc::Status status = writer->Finish();
    return status.ok() ? "OK" : absl::StrCat(ReasonIn(context), ": ", status.error_message());
  }

  std::string SendWhole(const std::string& file, v1::Run* run) {
    std::vector<v1::ImportRunRequest> requests = {BeginOf(file)};
    constexpr size_t kPiece = 1 << 20;
    for (size_t at = 0; at < file.size(); at += kPiece) {
      requests.push_back(DataOf(file.substr(at, kPiece)));
    }
    return Send(requests, run);
  }

  // What ends the export; the file goes to `data`.
  std::string Receive(const v1::ExportRunRequest& request, std::string* data) {
    grpc::ClientContext context;
    const auto reader = runs_->ExportRun(&context, request);
    v1::ExportRunResponse response;
    int64_t total = -1;
    while (reader->Read(&response)) {
      if (total < 0) {
        total = response.total_bytes();
      } else {
        EXPECT_EQ(response.total_bytes(), 0);
      }
      EXPECT_LT(response.ByteSizeLong(), size_t{1} << 20);
      data->append(response.data());
    }
    const grpc::Status status = reader->Finish();
    if (!status.ok()) return absl::StrCat(ReasonIn(context), ": ", status.error_message());
    EXPECT_EQ(static_cast<int64_t>(data->size()), total);
    return "OK";
  }

  bool NothingIncoming() const { return std::filesystem::is_empty(directory_ + "/state/incoming"); }
  // What imports and exports hold: nothing, once their callers are answered.
  int64_t Scratch() const { return server_->registry()->budget().taken_bytes(MemoryUse::kScratch); }
  template <typename Condition>
  static void Until(const Condition& condition) {
    for (int i = 0; i < 6000 && !condition(); ++i) absl::SleepFor(absl::Milliseconds(10));
    EXPECT_TRUE(condition());
  }

  std::string directory_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<v1::RunService::Stub> runs_;
  v1::Run run_;
};

TEST_F(TransferTest, AFileComesInAndItsRunGoesOut) {
  const std::string file = FileOfFloats(700'000);
  ASSERT_EQ(SendWhole(file, &run_), "OK");
  EXPECT_EQ(run_.parameter_count(), 700'000);
  EXPECT_TRUE(NothingIncoming());
  EXPECT_EQ(Scratch(), 0);
  v1::ExportRunRequest request;
  request.set_name("runs/r");
  std::string data;
  ASSERT_EQ(Receive(request, &data), "OK");
  EXPECT_NE(data.find(file.substr(file.size() - 2'800'000)), std::string::npos);
  request.set_step(0);
  std::string again;
  ASSERT_EQ(Receive(request, &again), "OK");
  EXPECT_EQ(again, data);
  EXPECT_EQ(Scratch(), 0);
  request.set_step(5);
  EXPECT_THAT(Receive(request, &again), HasSubstr("CHECKPOINT_NOT_FOUND: "));
  request.set_name("runs/nothing");
  EXPECT_THAT(Receive(request, &again), HasSubstr("RUN_NOT_FOUND"));
}

TEST_F(TransferTest, TheSameRequestIsAnsweredWithoutTheFile) {
  const std::string file = FileOfFloats(10);
  ASSERT_EQ(SendWhole(file, &run_), "OK");
  v1::Run again;
  ASSERT_EQ(Send({BeginOf(file)}, &again), "OK");
  EXPECT_EQ(again.uid(), run_.uid());
}

TEST_F(TransferTest, StreamsThatAreNoneAreRefused) {
  const std::string file = FileOfFloats(10);
  EXPECT_EQ(Send({}, &run_), "REQUEST_MALFORMED: the stream has no request with begin");
  EXPECT_EQ(Send({DataOf(file)}, &run_), "REQUEST_MALFORMED: the first request has no begin");
  EXPECT_EQ(Send({BeginOf(file), BeginOf(file)}, &run_),
            "REQUEST_MALFORMED: a second request with begin; data expected");
  EXPECT_THAT(Send({BeginOf(file), DataOf(file.substr(1))}, &run_), HasSubstr("FILE_INVALID"));
  EXPECT_THAT(Send({BeginOf(file), DataOf(file.substr(0, 100))}, &run_),
              HasSubstr("it is cut off"));
  EXPECT_TRUE(server_->registry()->All().empty());
  EXPECT_TRUE(NothingIncoming());
}

TEST_F(TransferTest, OneThatIsCancelledLeavesNothing) {
  const std::string file = FileOfFloats(100'000);
  {
    grpc::ClientContext context;
    const auto writer = runs_->ImportRun(&context, &run_);
    ASSERT_TRUE(writer->Write(BeginOf(file)));
    ASSERT_TRUE(writer->Write(DataOf(file.substr(0, 200'000))));
    Until([this] { return !NothingIncoming(); });
    context.TryCancel();
    EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  Until([this] { return NothingIncoming(); });
  EXPECT_TRUE(server_->registry()->All().empty());
  Until([this] { return server_->registry()->budget().taken_bytes() == 0; });
  EXPECT_EQ(SendWhole(file, &run_), "OK");
}

TEST_F(TransferTest, ACallerHasAPartOfThem) {
  const std::string file = FileOfFloats(10);
  grpc::ClientContext context;
  v1::Run unused;
  const auto writer = runs_->ImportRun(&context, &unused);
  ASSERT_TRUE(writer->Write(BeginOf(file)));
  Until([this] { return !NothingIncoming(); });
  EXPECT_THAT(Send({BeginOf(file, "other")}, &run_), HasSubstr("TOO_MANY_FOR_CALLER"));
  context.TryCancel();
  writer->Finish();
}

class ImpatientTransferTest : public TransferTest {
 protected:
  ImpatientTransferTest() : TransferTest(true, absl::Seconds(2)) {}
};

TEST_F(ImpatientTransferTest, ACallerWhoSendsNothingIsGivenUp) {
  const std::string file = FileOfFloats(10);
  grpc::ClientContext context;
  const auto writer = runs_->ImportRun(&context, &run_);
  ASSERT_TRUE(writer->Write(BeginOf(file)));
  EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::CANCELLED);
  Until([this] { return NothingIncoming(); });
}

TEST_F(ImpatientTransferTest, ACallerWhoTakesNothingIsGivenUp) {
  ASSERT_EQ(SendWhole(FileOfFloats(8'000'000), &run_), "OK");
  grpc::ClientContext context;
  v1::ExportRunRequest request;
  request.set_name("runs/r");
  const auto reader = runs_->ExportRun(&context, request);
  Until([this] { return server_->registry()->callers().pulls.taken() == 1; });
  Until([this] { return server_->registry()->callers().pulls.taken() == 0; });
  v1::ExportRunResponse response;
  while (reader->Read(&response)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

class TransferInMemoryTest : public TransferTest {
 protected:
  TransferInMemoryTest() : TransferTest(false) {}
};

TEST_F(TransferInMemoryTest, FilesComeInAndNoneGoesOut) {
  ASSERT_EQ(SendWhole(FileOfFloats(700'000), &run_), "OK");
  EXPECT_EQ(Scratch(), 0);
  v1::ExportRunRequest request;
  request.set_name("runs/r");
  std::string data;
  EXPECT_THAT(Receive(request, &data),
              HasSubstr("NO_STATE_DIRECTORY: runs/r is not kept on a disk"));
}

}  // namespace
}  // namespace gradd

#include "core/durability/run_import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <future>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/durability/safetensors_header.h"
#include "core/durability/state_directory.h"
#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/core/durability/checkpoint_files.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct SentTensor {
  std::string name;
  std::string type;
  std::vector<int64_t> shape;
  std::string data;
};

std::string SentFloats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

std::string SentFile(const std::vector<SentTensor>& tensors) {
  SafetensorsHeader header;
  std::string data;
  for (const SentTensor& tensor : tensors) {
    header.tensors.push_back({tensor.name, FindSafetensorsType(tensor.type), tensor.shape});
    data += tensor.data;
  }
  return *FormatSafetensorsHeader(&header) + data;
}

std::string TwoTensors() {
  return SentFile(
      {{"b", "F32", {2, 2}, SentFloats({1, 2, 3, 4})}, {"a", "F32", {}, SentFloats({5})}});
}

int64_t HeaderEnd(const std::string& file) {
  uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof(length));
  return static_cast<int64_t>(sizeof(length) + length);
}

std::vector<float> ImportedParameters(Run* run) {
  std::promise<std::shared_ptr<const Snapshot>> promise;
  run->RequestSnapshot(SnapshotContents::kEvaluation,
                       [&](std::shared_ptr<const Snapshot> taken) { promise.set_value(taken); });
  const auto snapshot = promise.get_future().get();
  std::vector<float> values;
  for (const BlockRef& block : snapshot->parameters) {
    values.insert(values.end(), block.data(), block.data() + block.elements());
  }
  return values;
}

class RunImportTest : public testing::Test {
 protected:
  // For that file, of plain gradient descent.
  static v1::ImportBegin BeginOf(const std::string& file, const std::string& run_id = "r",
                                 const std::string& request_id = "") {
    v1::ImportBegin begin;
    begin.set_run_id(run_id);
    begin.set_request_id(request_id);
    *begin.mutable_run() = SynchronousSpec(1, 1);
    begin.mutable_run()->clear_layout();
    begin.set_total_bytes(static_cast<int64_t>(file.size()));
    begin.set_file("sent.safetensors");
    return begin;
  }

  std::unique_ptr<RunImport> Begun(const v1::ImportBegin& begin) {
    auto import = RunImport::Begin(&registry_, directory_.get(), begin);
    EXPECT_TRUE(import.ok()) << import.status();
    return *std::move(import);
  }

  // All of it, in pieces.
  absl::StatusOr<std::shared_ptr<gradd::Run>> Send(const v1::ImportBegin& begin,
                                                   const std::string& file, size_t piece = 7) {
    auto import = RunImport::Begin(&registry_, directory_.get(), begin);
    GRADD_RETURN_IF_ERROR(import.status());
    for (size_t at = 0; at < file.size(); at += piece) {
      GRADD_RETURN_IF_ERROR((*import)->Add(absl::string_view(file).substr(at, piece)));
    }
    return (*import)->Complete();
  }

  // What is said of a file, of which no run is left.
  std::string Refusal(const v1::ImportBegin& begin, const std::string& file) {
    const auto run = Send(begin, file);
    EXPECT_FALSE(run.ok());
    ExpectNothingLeft();
    return absl::StrCat(ReasonOf(run.status()), ": ", run.status().message());
  }

  void ExpectNothingLeft() {
    EXPECT_THAT(registry_.All(), IsEmpty());
    EXPECT_EQ(registry_.budget().taken_bytes(), 0);
    if (directory_ == nullptr) return;
    EXPECT_THAT(*files_.List("s/incoming"), IsEmpty());
  }

  void OpenDirectory() { directory_ = *StateDirectory::Open(&files_, "s"); }

  static Limits SmallLimits() {
    Limits limits;
    limits.max_memory_bytes = 8 << 20;
    limits.max_parameters_per_run = 1 << 20;
    return limits;
  }

  FakeFileSystem files_;
  FakeClock clock_;
  std::unique_ptr<StateDirectory> directory_;
  RunRegistry registry_{SmallLimits(), 2, &clock_, kTileElements};
};

TEST_F(RunImportTest, ARunBeginsWithWhatIsInTheFile) {
  for (const bool on_disk : {false, true}) {
    if (on_disk) OpenDirectory();
    const std::string file = TwoTensors();
    for (const size_t piece : {size_t{1}, size_t{13}, file.size()}) {
      const auto run = Send(BeginOf(file), file, piece);
      ASSERT_TRUE(run.ok()) << run.status();
      EXPECT_THAT(ImportedParameters(run->get()), ElementsAre(1, 2, 3, 4, 5));
      const v1::Layout& layout = (*run)->layout().message();
      EXPECT_EQ(layout.tensors(0).name(), "b");
      EXPECT_THAT(layout.tensors(0).shape(), ElementsAre(2, 2));
      EXPECT_EQ(layout.tensors(1).name(), "a");
      EXPECT_TRUE(registry_.Delete("runs/r").ok());
    }
  }
}

TEST_F(RunImportTest, LargeFilesAreReadInManyPieces) {
  const int64_t elements = 5 * kTileElements + 3;
  std::vector<float> values(static_cast<size_t>(elements));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) * 0.5F;
  const std::string file = SentFile({{"w", "F32", {elements}, SentFloats(values)}});
  const auto run = Send(BeginOf(file), file, 1 << 16);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(ImportedParameters(run->get()), values);
}

TEST_F(RunImportTest, EveryMismatchIsNamedBeforeTheDataIsSent) {
  const std::string file = TwoTensors();
  v1::ImportBegin begin = BeginOf(file);
  v1::Layout& layout = *begin.mutable_run()->mutable_layout();
  v1::Tensor& other = *layout.add_tensors();
  other.set_name("b");
  other.add_shape(3);
  layout.add_tensors()->set_name("c");
  const auto import = Begun(begin);
  const absl::Status status = import->Add(file.substr(0, static_cast<size_t>(HeaderEnd(file))));
  EXPECT_EQ(ReasonOf(status), "FILE_INVALID");
  for (const char* const part :
       {"sent.safetensors: ", "tensor \"b\" has shape [2, 2], [3] expected",
        "tensor \"c\" is missing", "tensor \"a\" is not in the run's layout"}) {
    EXPECT_THAT(std::string(status.message()), HasSubstr(part));
  }
}

TEST_F(RunImportTest, TensorsOfOtherTypesAreNamed) {
  const std::string file = SentFile({{"d", "F64", {1}, std::string(8, '\0')},
                                     {"w", "F32", {1}, SentFloats({1})},
                                     {"i", "I64", {1}, std::string(8, '\0')}});
  EXPECT_EQ(Refusal(BeginOf(file), file),
            "FILE_INVALID: sent.safetensors: tensor \"d\" is of F64, F32, F16 or BF16 expected; "
            "tensor \"i\" is of I64, F32, F16 or BF16 expected");
}

TEST_F(RunImportTest, WhatIsWrongWithTheRunIsToldBeforeTheDataIsSent) {
  const std::string file = TwoTensors();
  v1::ImportBegin begin = BeginOf(file);
  begin.mutable_run()->mutable_schedule()->set_learning_rate(-1);
  const auto import = Begun(begin);
  const absl::Status status = import->Add(file.substr(0, static_cast<size_t>(HeaderEnd(file))));
  EXPECT_THAT(std::string(status.message()), HasSubstr("learning_rate"));
}

TEST_F(RunImportTest, HeadersAreBounded) {
  std::string file(100, '\0');
  const uint64_t lengths[] = {uint64_t{1} << 40, 100'000'001, 93};
  for (const uint64_t length : lengths) {
    std::memcpy(file.data(), &length, sizeof(length));
    file[8] = '{';
    const auto import = Begun(BeginOf(file));
    const absl::Status status = import->Add(file.substr(0, 9));
    EXPECT_EQ(ReasonOf(status), "FILE_INVALID") << length;
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("header of ", length)));
  }
  // A long header takes memory, which is claimed.
  v1::ImportBegin begin = BeginOf(file);
  begin.set_total_bytes(3 << 20);
  const uint64_t length = 2 << 20;
  std::string long_header(3 << 20, ' ');
  std::memcpy(long_header.data(), &length, sizeof(length));
  long_header[8] = '{';
  EXPECT_THAT(Refusal(begin, long_header),
              HasSubstr("IMPORT_TOO_LARGE: \"sent.safetensors\" needs"));
}

TEST_F(RunImportTest, FilesOfAnotherLengthAreRefused) {
  const std::string file = TwoTensors();
  EXPECT_EQ(Refusal(BeginOf(file), file.substr(0, file.size() - 1)),
            absl::StrCat("FILE_INVALID: sent.safetensors: it is cut off: ", file.size() - 1,
                         " of its ", file.size(), " bytes were sent"));
  EXPECT_THAT(Refusal(BeginOf(file), file + "x"), HasSubstr(" bytes of it were sent, "));
  EXPECT_THAT(Refusal(BeginOf("12345"), "12345"), HasSubstr("FILE_INVALID"));
  EXPECT_THAT(Refusal(BeginOf(""), ""), HasSubstr("OUT_OF_RANGE: begin.total_bytes: 0"));
  v1::ImportBegin begin = BeginOf(file);
  begin.set_total_bytes(int64_t{1} << 60);
  EXPECT_THAT(Refusal(begin, ""), HasSubstr("OUT_OF_RANGE: begin.total_bytes"));
  begin = BeginOf(file);
  begin.set_file("a\nb");
  EXPECT_THAT(Refusal(begin, ""), HasSubstr("OUT_OF_RANGE: begin.file"));
}

TEST_F(RunImportTest, NumbersThatAreNotFiniteAreNamed) {
  const std::string file =
      SentFile({{"w", "F32", {3}, SentFloats({1, 2, std::numeric_limits<float>::quiet_NaN()})}});
  EXPECT_EQ(Refusal(BeginOf(file), file),
            "FILE_INVALID: sent.safetensors: tensor \"w\": element 2 is nan, a finite number "
            "expected");
}

TEST_F(RunImportTest, WithoutMemoryNothingIsTaken) {
  v1::ImportBegin begin = BeginOf(TwoTensors());
  begin.set_total_bytes(16 << 20);
  EXPECT_THAT(Refusal(begin, ""), HasSubstr("IMPORT_TOO_LARGE: \"sent.safetensors\" has 16777216"));
}

TEST_F(RunImportTest, WithoutRoomOnTheDiskNothingIsLeft) {
  OpenDirectory();
  files_.SetRoom(files_.bytes() + 20);
  EXPECT_THAT(Refusal(BeginOf(TwoTensors()), TwoTensors()), HasSubstr("DISK_FULL"));
}

TEST_F(RunImportTest, OneThatIsGivenUpLeavesNothing) {
  for (const bool on_disk : {false, true}) {
    if (on_disk) OpenDirectory();
    const std::string file = TwoTensors();
    auto import = Begun(BeginOf(file));
    ASSERT_TRUE(import->Add(file.substr(0, file.size() - 1)).ok());
    EXPECT_EQ(on_disk ? files_.List("s/incoming")->size() : 1, 1);
    import.reset();
    ExpectNothingLeft();
  }
}

TEST_F(RunImportTest, WhatAKilledServerLeftIsGoneAtTheNextStart) {
  OpenDirectory();
  files_.SetContents("s/incoming/abc", "half of a file");
  directory_.reset();
  OpenDirectory();
  EXPECT_THAT(*files_.List("s/incoming"), IsEmpty());
}

TEST_F(RunImportTest, OfTwoForTheSameIdTheFirstThatIsCompleteIsMade) {
  const std::string file = TwoTensors();
  const std::string other = SentFile({{"w", "F32", {1}, SentFloats({7})}});
  const auto first = Begun(BeginOf(file, "r", "one"));
  const auto second = Begun(BeginOf(other, "r", "two"));
  ASSERT_TRUE(first->Add(file).ok());
  ASSERT_TRUE(second->Add(other).ok());
  const auto made = second->Complete();
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(ReasonOf(first->Complete().status()), "RUN_EXISTS");
  EXPECT_THAT(ImportedParameters(made->get()), ElementsAre(7));
  // The same request again needs no file, another one is refused at once.
  EXPECT_EQ(Begun(BeginOf(other, "r", "two"))->existing(), *made);
  EXPECT_EQ(ReasonOf(RunImport::Begin(&registry_, nullptr, BeginOf(file, "r", "one")).status()),
            "RUN_EXISTS");
}

// A checkpoint of a run with Adam that has made two steps.
class CheckpointImportTest : public RunImportTest {
 protected:
  CheckpointImportTest() {
    v1::Run spec = AsynchronousSpec(3);
    spec.mutable_optimizer()->mutable_adam();
    origin_ = *registry_.Create("origin", spec, "");
    FakeWorker worker(&registry_, "origin", "w");
    worker.Join();
    for (int64_t sequence = 1; sequence <= 2; ++sequence) {
      worker.Push(sequence, sequence - 1, {1, 2, 3});
      worker.WaitForResult(static_cast<size_t>(sequence) - 1);
    }
    std::promise<std::shared_ptr<const RunCapture>> promise;
    origin_->Capture([&](const auto& capture) { promise.set_value(*capture); });
    EXPECT_TRUE(WriteCheckpoint(&files_, "c.safetensors", promise.get_future().get()).ok());
    file_ = files_.Contents("c.safetensors");
    begin_ = BeginOf(file_);
    begin_.clear_run();
  }

  std::shared_ptr<gradd::Run> origin_;
  std::string file_;
  v1::ImportBegin begin_;
};

TEST_F(CheckpointImportTest, SaysHowTheRunTrains) {
  const auto run = Send(begin_, file_);
  ASSERT_TRUE(run.ok()) << run.status();
  const v1::Run described = (*run)->Describe(gradd::Run::Detail::kFull);
  EXPECT_TRUE(described.optimizer().has_adam());
  EXPECT_TRUE(described.policy().has_asynchronous());
  EXPECT_EQ(described.progress().step(), 0);
  EXPECT_NE(described.uid(), origin_->Describe(gradd::Run::Detail::kFull).uid());
  EXPECT_EQ(ImportedParameters(run->get()), ImportedParameters(origin_.get()));
}

TEST_F(CheckpointImportTest, WithStateTheRunGoesOnAsTheOther) {
  begin_.set_with_state(true);
  const auto run = Send(begin_, file_);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ((*run)->Describe(gradd::Run::Detail::kFull).progress().step(), 2);
  for (const char* const run_id : {"origin", "r"}) {
    FakeWorker worker(&registry_, run_id, "v");
    worker.Join();
    worker.Push(1, 2, {3, 2, 1});
    worker.WaitForResult(0);
  }
  EXPECT_EQ(ImportedParameters(run->get()), ImportedParameters(origin_.get()));
}

TEST_F(CheckpointImportTest, IsWholeOrRefused) {
  for (const bool with_state : {false, true}) {
    begin_.set_with_state(with_state);
    for (size_t at = file_.size() - 60; at < file_.size(); at += 7) {
      std::string changed = file_;
      changed[at] ^= 1;
      const auto run = Send(begin_, changed);
      EXPECT_EQ(ReasonOf(run.status()), "FILE_INVALID") << at;
    }
  }
  EXPECT_EQ(registry_.All().size(), 1);
}

TEST_F(CheckpointImportTest, OtherFilesNeedARun) {
  const std::string file = TwoTensors();
  v1::ImportBegin begin = BeginOf(file);
  begin.clear_run();
  EXPECT_EQ(ReasonOf(Send(begin, file).status()), "RUN_REQUIRED");
  begin = BeginOf(file);
  begin.set_with_state(true);
  EXPECT_EQ(ReasonOf(Send(begin, file).status()), "RUN_NOT_EXPECTED");
}

}  // namespace
}  // namespace gradd

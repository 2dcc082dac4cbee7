// Pushes as they are written down and read back: a step made from them has the same bits.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/durability/log_reader.h"
#include "core/durability/logged_event.h"
#include "tests/core/durability/log_files.h"
#include "tests/core/run/cut_push.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/replayed_engine.h"
#include "tests/support/virtual_executor.h"

namespace gradd {
namespace {

using ::testing::HasSubstr;
using Pushes = std::vector<std::shared_ptr<const StagedPush>>;

// The push as it came: each chunk in one piece, or in several of odd lengths.
std::shared_ptr<const StagedPush> Staged(const Layout& layout, const std::vector<Part>& parts,
                                         int64_t sequence, bool in_pieces) {
  v1::PushHeader header;
  header.set_sequence(sequence);
  header.set_examples(sequence + 1);
  header.set_loss(0.5);
  auto push = std::make_shared<StagedPush>(header, layout);
  for (const Part& part : parts) {
    const v1::TrainRequest request = RequestsOf(header, {part})[0];
    Payload payload = PayloadOf(part);
    if (in_pieces && !payload.slices().empty()) {
      std::vector<Payload::Slice> pieces;
      Payload::Slice rest = payload.slices()[0];
      for (size_t size = 1; size < rest.size(); size = size * 3 + 2) {
        pieces.push_back(rest.first(size));
        rest.remove_prefix(size);
      }
      pieces.push_back(rest);
      payload = Payload(std::move(pieces), payload.owner());
    }
    const absl::Status added = push->Add(request.push().chunk(), std::move(payload));
    EXPECT_TRUE(added.ok()) << added;
  }
  return push;
}

state::v1::Event StepOf(const Pushes& pushes) {
  state::v1::Event event;
  event.set_number(2);
  state::v1::StepDecision& step = *event.mutable_step();
  step.set_step(1);
  step.set_learning_rate(0.1);
  step.set_learning_rate_without_warm_up(0.1);
  step.set_momentum(-1);
  for (const auto& push : pushes) {
    state::v1::DecidedPush& used = *step.add_used();
    used.set_worker(absl::StrCat(push->header().sequence()));
    used.set_sequence(push->header().sequence());
    used.set_examples(push->header().examples());
    used.set_coefficient(0.5F);
  }
  return event;
}

// Of a run that made this step.
std::string BitsAfter(const v1::Run& spec, const state::v1::Event& event, const Pushes& pushes) {
  ReplayedEngine engine(kTileElements, std::make_unique<VirtualExecutor>(1));
  state::v1::Event created;
  created.set_number(1);
  *created.mutable_created()->mutable_spec() = spec;
  engine.Append(created, {});
  engine.Append(event, pushes);
  EXPECT_EQ(engine.fault(), "");
  return engine.Bits();
}

struct WrittenEvent {
  FakeFileSystem files;
  std::unique_ptr<LogReader> reader;

  void Write(const state::v1::Event& event, const Pushes& pushes) {
    ASSERT_TRUE(files.CreateDirectory("d").ok());
    const auto segment = *LogSegment::Create(&files, "d", HeaderOf(1, 1));
    std::vector<absl::string_view> data;
    for (const auto& push : pushes) AppendData(*push, &data);
    const state::v1::LoggedEvent logged = DescribeEvent(event, pushes);
    ASSERT_TRUE(segment->Add(RecordKind::kEvent, logged.SerializeAsString(), data).ok());
    ASSERT_TRUE(segment->Sync().ok());
    reader = *LogReader::Open(&files, "d/log-00000001", nullptr);
    ASSERT_TRUE(*reader->Next());
  }
};

class LoggedPushTest : public testing::TestWithParam<v1::Encoding> {};

TEST_P(LoggedPushTest, ReadBackItMakesAStepOfTheSameBits) {
  NamedOptimizer adam{"adam", {}, 0.1};
  adam.spec.mutable_adam();
  adam.spec.set_clip_by_global_norm(1);
  const v1::Run spec = SpecOf(adam);
  const Layout layout = *Layout::Create(spec.layout(), int64_t{1} << 40);
  std::mt19937 cuts(3);
  Pushes pushes;
  for (int worker = 0; worker < kCutWorkers; ++worker) {
    const std::vector<Part> parts = GetParam() == v1::ENCODING_ROWS
                                        ? CutRows(1, worker, &cuts)
                                        : CutPush(GetParam(), true, 1, worker, &cuts);
    ASSERT_GT(parts.size(), 2U);
    pushes.push_back(Staged(layout, parts, 1 + worker, /*in_pieces=*/worker == 1));
  }
  state::v1::Event event = StepOf(pushes);
  const std::string bits = BitsAfter(spec, event, pushes);
  // The message before the data is of another length each time.
  std::vector<bool> alignments(4);
  for (size_t more = 0; more < 4; ++more) {
    event.mutable_step()->mutable_used(0)->set_worker(std::string(1 + more, 'a'));
    WrittenEvent log;
    log.Write(event, pushes);
    const auto* const at = log.reader->data().slices()[0].data();
    alignments[reinterpret_cast<uintptr_t>(at) % 4] = true;
    const auto read = ReadPushes(log.reader->event(), layout, log.reader->data());
    ASSERT_TRUE(read.ok()) << read.status();
    ASSERT_EQ(read->size(), pushes.size());
    EXPECT_TRUE(TextOf(event, *read) == TextOf(event, pushes))
        << "written once more, it is the same";
    for (size_t i = 0; i < pushes.size(); ++i) {
      EXPECT_EQ((*read)[i]->largest(), pushes[i]->largest());
      EXPECT_EQ((*read)[i]->saturated(), pushes[i]->saturated());
    }
    EXPECT_TRUE(BitsAfter(spec, log.reader->event().event(), *read) == bits) << more;
  }
  EXPECT_EQ(alignments, std::vector<bool>(4, true));
}

INSTANTIATE_TEST_SUITE_P(Encodings, LoggedPushTest,
                         testing::Values(v1::ENCODING_FLOAT32, v1::ENCODING_BFLOAT16,
                                         v1::ENCODING_FLOAT16, v1::ENCODING_INT8,
                                         v1::ENCODING_SPARSE, v1::ENCODING_ROWS),
                         [](const auto& row) { return v1::Encoding_Name(row.param).substr(9); });

TEST(LoggedEventTest, DataThatDoesNotFitIsRefused) {
  const auto push = PushOf(7);
  const state::v1::LoggedEvent right = DescribeEvent(Stepped(7), {&push, 1});
  std::vector<absl::string_view> pieces;
  AppendData(*push, &pieces);
  const std::string bytes(pieces[0]);
  const auto refusal = [&](const state::v1::LoggedEvent& event, const std::string& data) {
    const auto* const begin = reinterpret_cast<const std::byte*>(data.data());
    const auto read = ReadPushes(event, push->layout(), Payload({{begin, data.size()}}, push));
    return std::string(read.status().message());
  };
  EXPECT_EQ(refusal(right, bytes), "");
  EXPECT_THAT(refusal(right, bytes.substr(1)),
              HasSubstr("event 7: a chunk of 12 bytes, where 11 are left"));
  EXPECT_THAT(refusal(right, bytes + "x"), HasSubstr("event 7: 1 bytes of data that no push has"));
  state::v1::LoggedEvent changed = right;
  changed.mutable_pushes(0)->mutable_chunks(0)->set_bytes(-4);
  EXPECT_THAT(refusal(changed, bytes), HasSubstr("a chunk of -4 bytes"));
  changed.mutable_pushes(0)->mutable_chunks(0)->set_bytes(std::numeric_limits<int64_t>::max());
  EXPECT_THAT(refusal(changed, bytes), HasSubstr("bytes, where 12 are left"));
  changed.mutable_pushes(0)->mutable_chunks(0)->set_bytes(8);
  EXPECT_NE(refusal(changed, bytes.substr(4)), "") << "it covers two of three elements";
  changed = right;
  changed.mutable_pushes(0)->mutable_chunks(0)->set_offset(1);
  EXPECT_NE(refusal(changed, bytes), "");
  std::string infinite = bytes;
  const float infinity = std::numeric_limits<float>::infinity();
  std::memcpy(infinite.data(), &infinity, sizeof(infinity));
  EXPECT_NE(refusal(right, infinite), "");
  EXPECT_NE(refusal(right, ""), "");
}

TEST(LoggedEventTest, ControlEventsAreThoseThatPeopleBringAbout) {
  EXPECT_TRUE(IsControlEvent(Created(true)));
  EXPECT_TRUE(IsControlEvent(Paused(2)));
  EXPECT_TRUE(IsControlEvent(Deleted(2)));
  state::v1::Event event;
  EXPECT_FALSE(IsControlEvent(event));
  event.mutable_change();
  EXPECT_TRUE(IsControlEvent(event));
  event.mutable_timeline();
  EXPECT_TRUE(IsControlEvent(event));
  EXPECT_FALSE(IsControlEvent(Stepped(2)));
  EXPECT_FALSE(IsControlEvent(Evaluated(2)));
  event.mutable_member();
  EXPECT_FALSE(IsControlEvent(event));
  event.mutable_lease();
  EXPECT_FALSE(IsControlEvent(event));
  event.mutable_fold();
  EXPECT_FALSE(IsControlEvent(event));
  event.mutable_answer();
  EXPECT_FALSE(IsControlEvent(event));
}

}  // namespace
}  // namespace gradd

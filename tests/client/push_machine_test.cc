#include "client/push_machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <future>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/error.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

// Chunks of the least size, so that a vector of a few thousand elements has several.
constexpr int64_t kLeastChunkElements = kMinChunkBytes / static_cast<int64_t>(sizeof(float));
constexpr int64_t kFewElements = 3 * kLeastChunkElements;

// Tells a machine what happens, event by event, and writes down what it does.
class Script {
 public:
  explicit Script(const PushEncoding& encoding = {}, int64_t elements = kFewElements)
      : gradient_(static_cast<size_t>(elements), 1), parameters_(gradient_.size()) {
    machine_.SetUp({"w", elements, PushEncoder::Create(encoding, VectorLayout(elements)), nullptr});
  }

  // Plays the events, separated by spaces, and returns what was done, likewise.
  std::string Play(absl::string_view events) {
    done_.clear();
    for (const absl::string_view event : absl::StrSplit(events, ' ')) Tell(event);
    return absl::StrJoin(done_, " ");
  }

  std::vector<float>& gradient() { return gradient_; }
  const std::vector<float>& parameters() const { return parameters_; }
  const std::future<absl::StatusOr<PushReport>>& future() const { return future_; }
  const std::vector<std::string>& data() const { return data_; }
  PushMachine& machine() { return machine_; }

 private:
  void Tell(absl::string_view event) {
    const std::vector<absl::string_view> of = absl::StrSplit(event, '@');
    const uint64_t timeline = of.size() > 1 ? std::stoull(std::string(of[1])) : 0;
    event = of[0];
    if (event == "order" || event == "order+p") {
      PushOrder order;
      order.info = {7, 2, 0.5, timeline};
      order.gradient = gradient_;
      if (event == "order+p") order.parameters = absl::MakeSpan(parameters_);
      order.loan = std::make_shared<PushLoan>();
      future_ = order.loan->promise.get_future();
      machine_.Order(std::move(order));
    } else if (absl::ConsumePrefix(&event, "open:")) {
      v1::Welcome welcome;
      welcome.set_last_sequence(std::stoi(std::string(event)));
      welcome.mutable_limits()->set_max_chunk_bytes(kMinChunkBytes);
      welcome.set_timeline(timeline);
      machine_.StreamOpened(welcome);
    } else if (absl::ConsumePrefix(&event, "timeline:")) {
      machine_.OnTimeline(timeline, std::stoi(std::string(event)));
    } else if (absl::ConsumePrefix(&event, "may-begin:")) {
      const auto pulled = static_cast<uint64_t>(std::stoull(std::string(event)));
      done_.emplace_back(machine_.CanBegin(pulled) ? "may" : "waits");
    } else if (event == "begin") {
      Note(machine_.Begin());
    } else if (event == "next") {
      NoteNext(machine_.Next());
    } else if (event == "all") {
      while (const auto next = machine_.Next()) NoteNext(next);
    } else if (event == "ahead") {
      machine_.EncodeAhead();
    } else if (event == "abort") {
      Note(machine_.Abort());
    } else if (event == "lost") {
      machine_.StreamEnded();
    } else if (event == "params") {
      Note(machine_.OnParameters(v1::ParameterChunk(), Values(3)));
    } else if (event == "params:half") {
      Note(machine_.OnParameters(v1::ParameterChunk(), Values(3, parameters_.size() / 2)));
    } else if (event == "shared-params") {
      Note(machine_.OnSharedParameters(v1::SharedParameters()));
    } else {
      Note(machine_.OnResult(Result(event)));
    }
  }

  // OUTCOME[/COMMITTED][+p][:LAST_SEQUENCE][#SEQUENCE]
  v1::PushResult Result(absl::string_view text) const {
    v1::PushResult result;
    const std::vector<absl::string_view> numbered = absl::StrSplit(text, '#');
    result.set_sequence(numbered.size() > 1 ? std::stoi(std::string(numbered[1]))
                                            : machine_.sequence());
    const std::vector<absl::string_view> with_last = absl::StrSplit(numbered[0], ':');
    if (with_last.size() > 1) result.set_last_sequence(std::stoi(std::string(with_last[1])));
    absl::string_view outcomes = with_last[0];
    result.set_parameters_follow(absl::ConsumeSuffix(&outcomes, "+p"));
    const std::vector<absl::string_view> parts = absl::StrSplit(outcomes, '/');
    result.set_outcome(OutcomeOf(parts[0]));
    if (parts.size() > 1) result.set_committed_outcome(OutcomeOf(parts[1]));
    if (parts[0] == "REJECTED") result.set_reason("NON_FINITE");
    result.set_step(8);
    return result;
  }

  static v1::PushOutcome OutcomeOf(absl::string_view name) {
    v1::PushOutcome outcome = v1::PUSH_OUTCOME_UNSPECIFIED;
    EXPECT_TRUE(v1::PushOutcome_Parse(absl::StrCat("PUSH_OUTCOME_", name), &outcome)) << name;
    return outcome;
  }

  Payload Values(float value, size_t count = 0) {
    auto values =
        std::make_shared<std::vector<float>>(count > 0 ? count : parameters_.size(), value);
    const Payload::Slice slice(reinterpret_cast<const std::byte*>(values->data()),
                               values->size() * sizeof(float));
    return Payload({slice}, std::move(values));
  }

  void NoteNext(const std::optional<PushMessage>& next) {
    if (!next) {
      done_.emplace_back("nothing");
      return;
    }
    const v1::Push& push = next->request.push();
    std::vector<std::string> parts;
    if (next->request.has_abort_push()) {
      parts.push_back(absl::StrCat("abort", next->request.abort_push().sequence()));
    }
    if (push.has_header()) {
      parts.push_back(absl::StrCat("header", push.header().sequence()));
      if (push.header().timeline() != 0) {
        absl::StrAppend(&parts.back(), "t", push.header().timeline());
      }
    }
    if (push.has_chunk())
      parts.push_back(absl::StrCat("@", push.chunk().offset() / kLeastChunkElements));
    if (push.has_commit()) parts.push_back(push.commit().want_parameters() ? "commit+p" : "commit");
    done_.push_back(absl::StrJoin(parts, ","));
    std::string& bytes = data_.emplace_back();
    for (const Payload::Slice& slice : next->data.slices()) {
      bytes.append(reinterpret_cast<const char*>(slice.data()), slice.size());
    }
  }

  void Note(const PushMachine::Action& action) {
    switch (action.kind) {
      case PushMachine::Action::Kind::kNone:
        break;
      case PushMachine::Action::Kind::kComplete: {
        std::string how = action.result.ok() ? v1::PushOutcome_Name(action.result->outcome)
                                             : ReasonOf(action.result.status());
        if (action.result.ok() && action.result->parameters_step >= 0) how += "+p";
        machine_.Finish(action.result)->result = action.result;
        done_.push_back(
            absl::StrCat(absl::StripPrefix(how, "PUSH_OUTCOME_"), "->", machine_.sequence()));
        break;
      }
      case PushMachine::Action::Kind::kProtocolBroken:
        done_.emplace_back("BROKEN");
        break;
      case PushMachine::Action::Kind::kFail:
        done_.emplace_back("FAIL");
        break;
    }
  }

  std::vector<float> gradient_;
  std::vector<float> parameters_;
  PushMachine machine_;
  std::future<absl::StatusOr<PushReport>> future_;
  std::vector<std::string> done_;
  std::vector<std::string> data_;
};

TEST(PushMachineTest, DoesWhatTheTableSays) {
  const struct {
    const char* promise;
    const char* events;
    const char* done;
  } rows[] = {
      {"a push is a header, its chunks and an end", "open:0 order begin all APPLIED",
       "header1,@0 @1 @2,commit APPLIED->2"},
      {"the next one has the next sequence",
       "open:0 order begin all APPLIED order begin all APPLIED",
       "header1,@0 @1 @2,commit APPLIED->2 header2,@0 @1 @2,commit APPLIED->3"},
      {"a restarted worker goes on where the run knows it", "open:41 order begin next",
       "header42,@0"},
      {"what is encoded ahead is sent once", "open:0 order begin next ahead ahead next next next",
       "header1,@0 @1 @2,commit nothing"},
      {"nothing is sent before it may", "open:0 order next ahead next", "nothing nothing"},
      {"parameters complete it", "open:0 order+p begin all APPLIED+p params",
       "header1,@0 @1 @2,commit+p APPLIED+p->2"},
      {"it is complete without parameters where none follow", "open:0 order+p begin all APPLIED",
       "header1,@0 @1 @2,commit+p APPLIED->2"},
      {"and where none were asked for", "open:0 order begin all APPLIED+p params",
       "header1,@0 @1 @2,commit APPLIED->2"},
      // Parameters before the result.
      {"parameters that come first wait for the result", "open:0 order+p begin all params APPLIED",
       "header1,@0 @1 @2,commit+p APPLIED+p->2"},
      {"also of a result that says that they follow, which another one has overtaken",
       "open:0 order+p begin all params APPLIED+p", "header1,@0 @1 @2,commit+p APPLIED+p->2"},
      {"a result may come among them", "open:0 order+p begin all params:half APPLIED next",
       "header1,@0 @1 @2,commit+p nothing"},
      {"they count for nothing where the stream ends before it",
       "open:0 order+p begin all params lost open:0 begin all APPLIED",
       "header1,@0 @1 @2,commit+p header1,@0 @1 @2,commit+p APPLIED->2"},
      {"and come anew",
       "open:0 order+p begin all params lost open:1 begin all params DUPLICATE/APPLIED",
       "header1,@0 @1 @2,commit+p header1,commit+p APPLIED+p->2"},
      {"or where the push is to be sent again",
       "open:0 order+p begin all params RESEND all APPLIED+p params",
       "header1,@0 @1 @2,commit+p header1,@0 @1 @2,commit+p APPLIED+p->2"},
      {"a push that is taken back too late has them",
       "open:0 order+p begin all params abort all APPLIED",
       "header1,@0 @1 @2,commit+p abort1 APPLIED+p->2"},
      {"none are taken that were not asked for", "open:0 order begin all params APPLIED",
       "header1,@0 @1 @2,commit APPLIED->2"},
      // Broken streams.
      {"a push that did not arrive is sent again, from its beginning",
       "open:0 order begin next next lost open:0 begin all APPLIED",
       "header1,@0 @1 header1,@0 @1 @2,commit APPLIED->2"},
      {"also if all of it was out", "open:0 order begin all lost open:0 begin all APPLIED",
       "header1,@0 @1 @2,commit header1,@0 @1 @2,commit APPLIED->2"},
      {"also what was encoded ahead", "open:0 order begin next ahead lost open:0 begin next",
       "header1,@0 header1,@0"},
      {"a push that arrived is asked about",
       "open:0 order begin all lost open:1 begin all DUPLICATE/APPLIED",
       "header1,@0 @1 @2,commit header1,commit APPLIED->2"},
      {"again and again",
       "open:0 order begin all lost open:1 begin all lost open:1 begin all DUPLICATE/SUPERSEDED",
       "header1,@0 @1 @2,commit header1,commit header1,commit SUPERSEDED->2"},
      {"parameters that broke off come anew",
       "open:0 order+p begin all APPLIED+p params:half lost open:1 begin all DUPLICATE/APPLIED+p "
       "params",
       "header1,@0 @1 @2,commit+p header1,commit+p APPLIED+p->2"},
      {"a fate that nobody knows any more",
       "open:0 order begin all lost open:1 begin all DUPLICATE",
       "header1,@0 @1 @2,commit header1,commit DUPLICATE->2"},
      {"an order without a stream waits for one", "order lost lost open:0 begin next",
       "header1,@0"},
      // Outcomes.
      {"an accumulated push counts, and no parameters follow", "open:0 order begin all ACCUMULATED",
       "header1,@0 @1 @2,commit ACCUMULATED->2"},
      {"a stale push uses its sequence up", "open:0 order begin all STALE",
       "header1,@0 @1 @2,commit STALE->2"},
      {"so does a superseded one", "open:0 order begin all SUPERSEDED",
       "header1,@0 @1 @2,commit SUPERSEDED->2"},
      {"and a skipped one", "open:0 order begin all SKIPPED", "header1,@0 @1 @2,commit SKIPPED->2"},
      {"a rejected one does not", "open:0 order begin all REJECTED order begin next",
       "header1,@0 @1 @2,commit NON_FINITE->1 header1,@0"},
      {"one whose memory was needed is sent again, as often as the server says so",
       "open:0 order+p begin all RESEND all RESEND next ahead next next APPLIED+p params",
       "header1,@0 @1 @2,commit+p header1,@0 @1 @2,commit+p header1,@0 @1 @2,commit+p "
       "APPLIED+p->2"},
      {"also one that was only asked about",
       "open:0 order begin all lost open:1 begin all RESEND all APPLIED",
       "header1,@0 @1 @2,commit header1,commit header1,@0 @1 @2,commit APPLIED->2"},
      {"and on the next stream if this one ends",
       "open:0 order begin all RESEND next lost open:0 begin all APPLIED",
       "header1,@0 @1 @2,commit header1,@0 header1,@0 @1 @2,commit APPLIED->2"},
      {"one that is rejected before its end is ended before the next one",
       "open:0 order begin next ahead REJECTED order begin all APPLIED",
       "header1,@0 NON_FINITE->1 commit header1,@0 @1 @2,commit APPLIED->2"},
      {"but not on another stream", "open:0 order begin next REJECTED lost open:0 order begin next",
       "header1,@0 NON_FINITE->1 header1,@0"},
      // Timelines.
      {"a push says of which timeline it is, whichever is the stream's",
       "open:0@3 order@3 begin next lost open:0@3 begin next", "header1t3,@0 header1t3,@0"},
      {"of one that has ended the server is only asked",
       "open:0@1 order@1 begin next lost open:0@2 begin all ROLLED_BACK:0 order@2 begin next",
       "header1t1,@0 header1t1,commit ROLLED_BACK->1 header1t2,@0"},
      {"it may have counted before",
       "open:0@1 order@1 begin all lost open:1@2 begin all DUPLICATE/APPLIED",
       "header1t1,@0 @1 @2,commit header1t1,commit APPLIED->2"},
      {"the worker goes on where the server says",
       "open:7@1 order@1 begin all ROLLED_BACK:3 order@2 begin next",
       "header8t1,@0 @1 @2,commit ROLLED_BACK->4 header4t2,@0"},
      {"with the parameters that come", "open:0 order+p begin all ROLLED_BACK+p:0 params",
       "header1,@0 @1 @2,commit+p ROLLED_BACK+p->1"},
      {"and with the same sequence, from a server that does not say",
       "open:7 order begin all ROLLED_BACK", "header8,@0 @1 @2,commit ROLLED_BACK->8"},
      {"where a timeline begins between two pushes, the next one has the sequence that is told",
       "open:7@1 order@1 begin all APPLIED timeline:3@2 order@2 begin next",
       "header8t1,@0 @1 @2,commit APPLIED->9 header4t2,@0"},
      {"also one that is ordered and not begun", "open:7@1 order@2 timeline:3@2 begin next",
       "header4t2,@0"},
      {"but not one that is on its way", "open:7@1 order@1 begin all timeline:3@2 ROLLED_BACK:3",
       "header8t1,@0 @1 @2,commit ROLLED_BACK->4"},
      {"one of parameters that were pulled waits until the stream tells of their timeline",
       "open:7@1 order@2 may-begin:2 timeline:3@2 may-begin:2", "waits may"},
      {"or the next stream does",
       "open:7@1 order@2 may-begin:2 lost open:3@2 may-begin:2 begin next",
       "waits may header4t2,@0"},
      {"one of a timeline that nobody knows is the server's to judge",
       "open:7@1 order@9 may-begin:2", "may"},
      {"on a timeline with more of its pushes, one that was lost is asked about",
       "open:7@1 order@1 begin all lost open:95@2 begin all ROLLED_BACK:95 order@2 begin next",
       "header8t1,@0 @1 @2,commit header8t1,commit ROLLED_BACK->96 header96t2,@0"},
      // Aborts.
      {"a push that is not begun is taken back here", "order abort order open:0 begin next",
       "ABORTED->1 header1,@0"},
      {"one that is begun ends with its abort",
       "open:0 order begin next abort all ABORTED order begin next",
       "header1,@0 abort1 ABORTED->1 header1,@0"},
      {"what was encoded ahead is not sent",
       "open:0 order begin next ahead abort ahead all ABORTED order begin all",
       "header1,@0 abort1 ABORTED->1 header1,@0 @1 @2,commit"},
      {"one that is out is aborted behind it", "open:0 order begin all abort all ABORTED",
       "header1,@0 @1 @2,commit abort1 ABORTED->1"},
      {"twice is once", "open:0 order begin all abort abort all abort all ABORTED",
       "header1,@0 @1 @2,commit abort1 ABORTED->1"},
      {"where it comes too late, the push has its own answer",
       "open:0 order begin all abort all APPLIED order begin next",
       "header1,@0 @1 @2,commit abort1 APPLIED->2 header2,@0"},
      {"also before the abort is out", "open:0 order begin all abort APPLIED next",
       "header1,@0 @1 @2,commit APPLIED->2 nothing"},
      {"one whose parameters come is answered",
       "open:0 order+p begin all APPLIED+p abort params next",
       "header1,@0 @1 @2,commit+p APPLIED+p->2 nothing"},
      {"one that the server has dropped is not sent again",
       "open:0 order begin all abort all RESEND next",
       "header1,@0 @1 @2,commit abort1 ABORTED->1 nothing"},
      {"one that is refused before its end has that end",
       "open:0 order begin next abort REJECTED order begin all",
       "header1,@0 NON_FINITE->1 commit header1,@0 @1 @2,commit"},
      {"on another stream its first part says which is meant",
       "open:0 order begin all lost abort open:0 begin all ABORTED",
       "header1,@0 @1 @2,commit header1 abort1 ABORTED->1"},
      {"also if the first abort was lost",
       "open:0 order begin all abort all lost open:0 begin all DUPLICATE/APPLIED",
       "header1,@0 @1 @2,commit abort1 header1 abort1 APPLIED->2"},
      {"without a push it is nothing", "open:0 abort next", "nothing"},
      // What no server of this protocol says.
      {"an abort that nobody asked for", "open:0 order begin all ABORTED",
       "header1,@0 @1 @2,commit BROKEN"},
      {"a last sequence below 0", "open:0 order begin all ROLLED_BACK:-1",
       "header1,@0 @1 @2,commit BROKEN"},
      {"a result without a push", "open:0 APPLIED#1", "BROKEN"},
      {"of another push", "open:0 order begin all APPLIED#2", "header1,@0 @1 @2,commit BROKEN"},
      {"of one that waits", "open:0 order APPLIED", "BROKEN"},
      {"before its end", "open:0 order begin next APPLIED", "header1,@0 BROKEN"},
      {"a wish for all of it before its end", "open:0 order begin next RESEND",
       "header1,@0 BROKEN"},
      {"while its last chunk is only encoded", "open:0 order begin next next ahead APPLIED",
       "header1,@0 @1 BROKEN"},
      {"twice", "open:0 order+p begin all APPLIED+p APPLIED+p", "header1,@0 @1 @2,commit+p BROKEN"},
      {"parameters out of order", "open:0 order+p begin all APPLIED+p params:half params",
       "header1,@0 @1 @2,commit+p BROKEN"},
      {"parameters twice, before the result", "open:0 order+p begin all params params:half",
       "header1,@0 @1 @2,commit+p"},
      {"shared parameters without shared memory",
       "open:0 order+p begin all APPLIED+p shared-params", "header1,@0 @1 @2,commit+p BROKEN"},
      {"parameters that nobody waits for are let be",
       "open:0 params order params begin params next", "header1,@0"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(Script().Play(row.events), row.done) << row.promise << ": " << row.events;
  }
}

TEST(PushMachineTest, SaysOfTheGradientWhatTheCallerSaid) {
  Script script;
  script.Play("open:0 order begin");
  const std::optional<PushMessage> first = script.machine().Next();
  const v1::PushHeader& header = first->request.push().header();
  EXPECT_EQ(header.base_step(), 7);
  EXPECT_EQ(header.examples(), 2);
  EXPECT_EQ(header.loss(), 0.5);
}

TEST(PushMachineTest, TheReportHasWhatTheServerSaid) {
  Script script;
  script.Play("open:0 order+p begin all APPLIED+p params");
  ASSERT_EQ(script.parameters(), std::vector<float>(kFewElements, 3));
  EXPECT_EQ(script.machine().least_known(), 1);
}

TEST(PushMachineTest, TheCallerHearsWhenNobodyReadsTheGradientAnyMore) {
  Script script;
  script.Play("open:0 order begin");
  std::optional<PushMessage> on_its_way = script.machine().Next();
  script.Play("all APPLIED");
  EXPECT_EQ(script.future().wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  on_its_way.reset();
  EXPECT_EQ(script.future().wait_for(std::chrono::seconds(0)), std::future_status::ready);
}

TEST(PushMachineTest, TheSameBytesAreSentAgain) {
  for (const auto& [kind, again] :
       {std::pair(PushEncoding::Kind::kFloat32, "lost open:0 begin all"),
        std::pair(PushEncoding::Kind::kInt8, "lost open:0 begin all"),
        std::pair(PushEncoding::Kind::kTopK, "lost open:0 begin all"),
        std::pair(PushEncoding::Kind::kRandomK, "lost open:0 begin all"),
        std::pair(PushEncoding::Kind::kRows, "lost open:0 begin all"),
        std::pair(PushEncoding::Kind::kTopK, "RESEND all"),
        std::pair(PushEncoding::Kind::kRandomK, "RESEND all")}) {
    PushEncoding encoding;
    encoding.kind = kind;
    Script script(encoding);
    for (size_t i = 0; i < script.gradient().size(); ++i) {
      script.gradient()[i] = static_cast<float>(i % 13) - 6;
    }
    script.Play("open:0 order begin all");
    const std::vector<std::string> once = script.data();
    script.Play(again);
    ASSERT_EQ(script.data().size(), 2 * once.size()) << again;
    for (size_t i = 0; i < once.size(); ++i) {
      EXPECT_EQ(script.data()[once.size() + i], once[i]) << static_cast<int>(kind) << " " << i;
    }
  }
}

TEST(PushMachineTest, WhatTheServerKnowsIsBetweenTheLastTwoPushes) {
  Script script;
  script.Play("open:4");
  EXPECT_EQ(script.machine().least_known(), 4);
  EXPECT_EQ(script.machine().most_known(), 4);
  script.Play("order begin all");
  EXPECT_EQ(script.machine().least_known(), 4);
  EXPECT_EQ(script.machine().most_known(), 5);
  script.Play("APPLIED");
  EXPECT_EQ(script.machine().least_known(), 5);
  EXPECT_EQ(script.machine().most_known(), 5);
}

// The one element of a sparse chunk, an index and a value; 0: it has none.
float ValueIn(const std::string& sent) {
  float value = 0;
  if (!sent.empty()) std::memcpy(&value, sent.data() + sizeof(uint32_t), sizeof(value));
  return value;
}

// TopK with room for 1 of 2 elements: 4 is sent, 3 waits in the residual. The next gradient is 0,
// so what is sent then is what the first push left behind.
TEST(PushMachineTest, WhatDidNotBecomePartOfAStepComesWithTheNextPush) {
  const struct {
    const char* fate;
    float next;
  } rows[] = {
      {"APPLIED", 3},
      {"STALE", 4},
      {"SUPERSEDED", 4},
      {"SKIPPED", 4},
      {"REJECTED", 4},
      {"RESEND all APPLIED", 3},
      {"RESEND all STALE", 4},
      {"lost open:1 begin all DUPLICATE/APPLIED", 3},
      {"lost open:1 begin all DUPLICATE/SUPERSEDED", 4},
      {"lost open:1 begin all DUPLICATE", 3},  // Unknown: twice would be worse than not at all.
      // What was computed on a timeline that has ended is gone, and so is what was taken back.
      {"ROLLED_BACK:0", 0},
      {"abort all ABORTED", 0},
  };
  for (const auto& row : rows) {
    PushEncoding encoding;
    encoding.kind = PushEncoding::Kind::kTopK;
    encoding.fraction = 0.5;
    Script script(encoding, 2);
    script.gradient() = {4, 3};
    script.Play(absl::StrCat("open:0 order begin all ", row.fate));
    script.gradient() = {0, 0};
    script.Play("order begin all");
    EXPECT_EQ(ValueIn(script.data().back()), row.next) << row.fate;
  }
}

TEST(PushMachineTest, WhatPushesOfATimelineLeftBehindEndsWithIt) {
  for (const auto& [next, left] :
       {std::pair("order@1 begin all", 3.0F), {"order@2 begin all", 0.0F}}) {
    PushEncoding encoding;
    encoding.kind = PushEncoding::Kind::kTopK;
    encoding.fraction = 0.5;
    Script script(encoding, 2);
    script.gradient() = {4, 3};
    script.Play("open:0@1 order@1 begin all APPLIED");
    script.gradient() = {0, 0};
    script.Play(next);
    EXPECT_EQ(ValueIn(script.data().back()), left) << next;
  }
}

// Two gradients, of which the second is taken back: what the first left behind stays.
TEST(PushMachineTest, WhatIsTakenBackLeavesTheRestAlone) {
  PushEncoding encoding;
  encoding.kind = PushEncoding::Kind::kTopK;
  encoding.fraction = 0.5;
  Script script(encoding, 2);
  script.gradient() = {4, 3};
  script.Play("open:0 order begin all APPLIED");
  script.gradient() = {64, 32};
  EXPECT_EQ(script.Play("order begin next abort next ABORTED"),
            "header2,@0,commit abort2 ABORTED->2");
  script.gradient() = {0, 0};
  script.Play("order begin all");
  EXPECT_EQ(ValueIn(script.data().back()), 3);
}

TEST(PushMachineTest, AGradientThatCannotBeEncodedIsItsCallersError) {
  PushEncoding encoding;
  encoding.kind = PushEncoding::Kind::kTopK;
  Script script(encoding);
  script.gradient()[5] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(script.Play("open:0 order begin next"), "NON_FINITE->1 nothing");
}

}  // namespace
}  // namespace gradd

#include "tests/core/run/schedules/random_worker.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/base/error.h"
#include "tests/support/fake_worker.h"

namespace gradd {
namespace {

std::vector<float> Pattern(std::mt19937_64* random) {
  std::vector<float> pattern(61);
  for (float& value : pattern) value = std::uniform_real_distribution<float>(-1, 1)(*random);
  return pattern;
}

}  // namespace

RandomWorker::RandomWorker(RunRegistry* registry, std::string run, std::string id, RunModel* model,
                           std::mt19937_64* random, std::string* trace)
    : registry_(registry),
      run_(std::move(run)),
      id_(std::move(id)),
      model_(model),
      random_(random),
      trace_(trace),
      elements_(model->run().layout().element_count()),
      pattern_(Pattern(random)) {}

void RandomWorker::Act(bool orderly) {
  if (dead_) return;
  if (silent_ > 0 && !orderly) {
    --silent_;
    return;
  }
  if (!old_streams_.empty() && Chance(4)) old_streams_.pop_back();
  if (!IsOpen()) {
    if (orderly) return;
    if (Chance(3)) Join();
    return;
  }
  const size_t what = orderly ? 50 : Draw(100);
  if (what < 4) {
    Note("disconnects");
    return Disconnect();
  }
  if (what < 6 && stream_->CanSend() && queue_.empty()) return SendBare(/*leave=*/true);
  if (what < 8) {
    silent_ = static_cast<int>(Draw(200));
    return Note("falls silent for ", silent_);
  }
  if (what < 9 && Chance(8)) {
    Note("dies");
    return Die();
  }
  if (what < 10) return Join();  // Beside its own stream, or that of another process.
  if (what < 12 && Chance(2) && !half_closed_) {
    Note("half-closes");
    half_closed_ = true;
    queue_.clear();
    return stream_->HalfClose();
  }
  if (stream_->unread() > 0 && Chance(orderly ? 1 : 3)) return Read();
  if (half_closed_ || !stream_->CanSend()) return;
  if (what < 16 && queue_.empty()) return SendBare(/*leave=*/false);
  if (model_ != nullptr && model_->data() != nullptr && queue_.empty() && !orderly) {
    if (!asks_ && (BatchesLeft().empty() ? !Chance(8) : Chance(4))) return AskForBatches();
    if (Chance(30) && !BatchesLeft().empty()) return ReturnSomeBatches();
  }
  if (what < 20 && queued_ > 0) return Abort();
  if (!queue_.empty()) return SendPart();
  // Mostly one push at a time.
  if (!orderly && (open_pushes_ == 0 || Chance(10))) BeginPush();
}

void RandomWorker::Join() {
  if (Chance(5)) ++instance_;
  auto stream = std::make_unique<ScriptedWorker>(registry_, id_, instance_);
  v1::Join join;
  join.set_want_parameters(!Chance(4));
  join.set_sends_timelines(!Chance(3));
  join.set_parameters_before_result(Chance(3));
  stream->Join(run_, join);
  if (!stream->welcome().has_value()) {
    Note("may not join: ", stream->end().value_or(absl::UnknownError("no answer")).message());
    return;
  }
  Note("joins as ", instance_, " after ", stream->welcome()->last_sequence(),
       join.sends_timelines() ? ", sends timelines" : "");
  if (stream_ != nullptr) old_streams_.push_back(std::move(stream_));
  stream_ = std::move(stream);
  sent_.reset();
  queue_.clear();
  half_closed_ = false;
  results_ = 0;
  promised_ = join.want_parameters() ? 1 : 0;
  open_pushes_ = 0;
  sequence_ = queued_ = stream_->welcome()->last_sequence();
  step_ = stream_->welcome()->step();
  timeline_ = stream_->welcome()->timeline();
  says_timelines_ = join.sends_timelines();
  old_batches_.insert(old_batches_.end(), batches_.begin(), batches_.end());
  batches_.clear();
  pushed_batches_.clear();
  named_batches_.clear();
  asks_ = false;
  leases_ = timelines_ = 0;
  for (const v1::BatchRange& range : stream_->welcome()->data().leased()) {
    for (int64_t i = 0; i < range.count(); ++i) batches_.insert(range.first() + i);
  }
  if (model_ != nullptr) model_->Joined(stream_.get());
}

void RandomWorker::Disconnect() {
  if (stream_ == nullptr) return;
  if (stream_->held()) sent_.reset();  // Nobody will ever take it.
  stream_->Disconnect();
}

void RandomWorker::Read() {
  if (stream_->Lost()) {
    Note("has lost its parameters");
    return Disconnect();
  }
  const std::shared_ptr<const Snapshot> snapshot = stream_->ReadParameters();
  if (snapshot == nullptr) return;
  if (model_ != nullptr) {
    model_->SignOfLife(id_);
    model_->SawParameters(snapshot->step, ValuesOf(*snapshot));
    model_->SawTimeline(snapshot->timeline->number);
  }
  step_ = std::max(step_, snapshot->step);
  timeline_ = snapshot->timeline->number;
  Note("reads step ", snapshot->step, " of timeline ", timeline_);
}

void RandomWorker::ReadAll() {
  while (IsOpen() && stream_->unread() > 0) {
    const size_t before = stream_->unread();
    Read();
    if (IsOpen() && stream_->unread() == before) return;  // Its step is on its way.
  }
}

void RandomWorker::SendBare(bool leave) {
  v1::TrainRequest request;
  if (leave) {
    request.mutable_leave();
    if (model_ != nullptr) model_->Left(id_);
  } else {
    request.mutable_heartbeat();
  }
  Note(leave ? "leaves" : "heartbeat");
  if (model_ != nullptr) model_->SignOfLife(id_);
  stream_->Send(std::move(request));
}

void RandomWorker::SendPart() {
  Part part = std::move(queue_.front());
  queue_.pop_front();
  sent_ = part;
  if (model_ != nullptr) model_->SignOfLife(id_);
  if (part.begins && part.request.push().header().timeline() != 0) says_timelines_ = true;
  Note("sends ", part.begins ? "the begin" : "a part", part.completes ? " and the end" : "",
       " of push ", part.push.sequence);
  stream_->Send(std::move(part.request), std::move(part.data));
}

void RandomWorker::NoteTaken() {
  if (!sent_.has_value() || stream_->held()) return;
  const Part part = *std::exchange(sent_, std::nullopt);
  if (part.aborts) {
    if (model_ != nullptr) {
      model_->Aborted(stream_.get(), part.push.sequence, /*surely=*/stream_->IsOpen());
    }
    return;
  }
  if (part.begins) {
    ++open_pushes_;
    pushed_batches_.emplace_back(part.push.sequence, part.push.batches);
  }
  if (model_ == nullptr) return;
  const bool surely = stream_->IsOpen();
  if (part.begins) model_->Began(stream_.get(), part.push);
  if (part.completes) model_->Completed(stream_.get(), surely);
}

void RandomWorker::NoteAnswers() {
  if (stream_ == nullptr) return;
  for (; results_ < stream_->results().size(); ++results_) {
    const v1::PushResult& result = stream_->results()[results_];
    Note("push ", result.sequence(), " ", v1::PushOutcome_Name(result.outcome()), " ",
         result.reason(), " at ", result.step(),
         result.committed_outcome() != 0 ? " committed " : "",
         result.committed_outcome() != 0 ? v1::PushOutcome_Name(result.committed_outcome()) : "");
    if (model_ != nullptr) model_->Answered(stream_.get(), result);
    if (result.parameters_follow()) ++promised_;
    --open_pushes_;
    // Of two with one sequence, the later one is the duplicate.
    const auto is_pushed = [&](const auto& push) { return push.first == result.sequence(); };
    auto pushed = std::find_if(pushed_batches_.begin(), pushed_batches_.end(), is_pushed);
    if (result.outcome() == v1::PUSH_OUTCOME_DUPLICATE && pushed != pushed_batches_.end()) {
      pushed = std::find_if(pushed_batches_.rbegin(), pushed_batches_.rend(), is_pushed).base() - 1;
    }
    const bool for_good = result.outcome() != v1::PUSH_OUTCOME_REJECTED &&
                          result.outcome() != v1::PUSH_OUTCOME_RESEND &&
                          result.outcome() != v1::PUSH_OUTCOME_ABORTED &&
                          result.outcome() != v1::PUSH_OUTCOME_ROLLED_BACK;
    if (pushed != pushed_batches_.end()) {
      for (const int64_t batch : pushed->second) {
        if (!for_good) named_batches_.insert(batch);
        if (for_good && batches_.erase(batch) == 1) old_batches_.push_back(batch);
      }
      pushed_batches_.erase(pushed);
    }
    step_ = std::max(step_, result.step());
    if (result.outcome() == v1::PUSH_OUTCOME_ROLLED_BACK) {
      queued_ = sequence_ = result.last_sequence();
      if (!result.parameters_follow()) timeline_ = TimelineTold();  // It pulls them.
    } else if (result.outcome() == v1::PUSH_OUTCOME_REJECTED ||
               result.outcome() == v1::PUSH_OUTCOME_RESEND ||
               result.outcome() == v1::PUSH_OUTCOME_ABORTED) {
      queued_ = sequence_;
    } else {
      sequence_ = std::max(sequence_, result.sequence());
      queued_ = std::max(queued_, sequence_);
    }
  }
  NoteLeases();  // What was let go with an answer may come back after it.
}

void RandomWorker::NoteEnds() {
  if (stream_ == nullptr || stream_->IsOpen() || model_ == nullptr) return;
  if (stream_->end().has_value() && ReasonOf(*stream_->end()) == "TIMELINE_ENDED") {
    model_->EndedWithTimeline(stream_.get(), says_timelines_);
  }
  model_->Closed(stream_.get());
  sent_.reset();
  queue_.clear();
}

SentPush RandomWorker::Choose() {
  SentPush push;
  push.sequence = queued_ + 1;
  push.base_step = step_;
  push.examples = 1 + static_cast<int64_t>(Draw(7));
  const float scale = std::uniform_real_distribution<float>(0.1F, 2)(*random_);
  const size_t shift = Draw(pattern_.size());
  std::vector<float> gradient(static_cast<size_t>(elements_));
  for (size_t i = 0, at = shift; i < gradient.size(); ++i) {
    gradient[i] = scale * pattern_[at];
    if (++at == pattern_.size()) at = 0;
  }
  push.timeline = timeline_;
  ChooseBatches(&push);
  switch (Draw(44)) {
    case 40:  // Of one that has ended, or is yet to come.
    case 41:
      push.timeline += Draw(3);
      push.timeline -= std::min<uint64_t>(push.timeline, Draw(3));
      push.odd = true;  // When that one has come, it has no batches of it.
      break;
    case 0:
      push.sequence = std::max<int64_t>(push.sequence - 1 - static_cast<int64_t>(Draw(2)), 0);
      break;
    case 1:
      push.sequence += 1 + static_cast<int64_t>(Draw(2));
      break;
    case 2:
    case 3:
      push.base_step -= static_cast<int64_t>(Draw(3));
      break;
    case 4:
      push.base_step += static_cast<int64_t>(Draw(3));
      break;
    case 5:
    case 6:
      push.malformed = true;
      break;
    case 7:
      push.non_finite = true;
      gradient[Draw(gradient.size())] = Chance(2) ? std::numeric_limits<float>::quiet_NaN()
                                                  : std::numeric_limits<float>::infinity();
      break;
    case 8:
      push.huge = true;
      gradient[Draw(gradient.size())] = Chance(4) ? 3e38F : 1e30F;
      break;
    default:
      break;
  }
  push.base_step = std::max<int64_t>(push.base_step, 0);
  push.gradient = std::make_shared<const std::vector<float>>(std::move(gradient));
  return push;
}

void RandomWorker::AskForBatches() {
  v1::TrainRequest request;
  request.mutable_lease_batches()->set_count(1 + static_cast<int64_t>(Draw(6)));
  Note("asks for ", request.lease_batches().count(), " batches");
  model_->SignOfLife(id_);
  asks_ = true;
  stream_->Send(std::move(request));
}

void RandomWorker::ReturnSomeBatches() {
  v1::TrainRequest request;
  std::vector<int64_t> left = BatchesLeft();
  left.resize(1 + Draw(left.size()));
  // And what it has pushed, where that waits: it is to count all the same.
  if (model_->Waits(id_) && pushed_batches_.size() == 1 && Chance(2)) {
    for (const int64_t batch : pushed_batches_[0].second) {
      if (batches_.count(batch) == 1) left.push_back(batch);
    }
  }
  for (const int64_t batch : left) {
    v1::BatchRange& range = *request.mutable_return_batches()->add_ranges();
    range.set_first(batch);
    range.set_count(1);
    batches_.erase(batch);
    old_batches_.push_back(batch);
  }
  Note("gives back ", left.size(), " batches from ", left[0], " on");
  model_->SignOfLife(id_);
  stream_->Send(std::move(request));
}

void RandomWorker::NoteLeases() {
  for (; timelines_ < stream_->events().size(); ++timelines_) {
    if (stream_->events()[timelines_].kind() != v1::RUN_EVENT_KIND_TIMELINE) continue;
    old_batches_.insert(old_batches_.end(), batches_.begin(), batches_.end());
    batches_.clear();
  }
  for (; leases_ < stream_->leases().size(); ++leases_) {
    const v1::BatchLease& lease = stream_->leases()[leases_];
    Note("gets ", lease.ShortDebugString());
    asks_ = false;
    if (lease.timeline() != TimelineTold()) continue;
    for (const v1::BatchRange& range : lease.ranges()) {
      for (int64_t i = 0; i < range.count(); ++i) batches_.insert(range.first() + i);
    }
  }
}

std::string RandomWorker::CheckLeases() const {
  if (!IsOpen() || stream_->held() || model_ == nullptr || model_->data() == nullptr) return "";
  const DataModel& data = *model_->data();
  // What a push of an earlier session names that waits it need not know.
  std::set<int64_t> known = named_batches_;
  known.insert(batches_.begin(), batches_.end());
  if (const int64_t batch = data.FirstUnknown(id_, known); batch >= 0 && !model_->Waits(id_)) {
    return absl::StrCat(run_, "/", id_, " has batch ", batch, " and does not know");
  }
  if (!asks_) return "";
  const std::string name = absl::StrCat(run_, "/", id_, " waits for batches, and ");
  if (data.AnySurelyFree()) return absl::StrCat(name, "some are free");
  if (data.all_used()) return absl::StrCat(name, "all are used up");
  if (model_->state() == v1::RUN_STATE_FINISHED) return absl::StrCat(name, "the run is finished");
  return "";
}

std::vector<int64_t> RandomWorker::BatchesLeft() const {
  std::set<int64_t> left = batches_;
  for (const auto& [sequence, batches] : pushed_batches_) {
    for (const int64_t batch : batches) left.erase(batch);
  }
  return {left.begin(), left.end()};
}

void RandomWorker::ChooseBatches(SentPush* push) {
  const DataModel* const data = model_ == nullptr ? nullptr : model_->data();
  if (data == nullptr) return;
  push->batches = BatchesLeft();
  if (push->batches.size() > 1) push->batches.resize(1 + Draw(push->batches.size()));
  push->odd = push->batches.empty();
  if (Chance(12)) {
    push->odd = true;
    // Of another worker, or not handed out; one that it had; or one twice.
    if (Chance(3)) {
      push->batches.push_back(static_cast<int64_t>(Draw(static_cast<size_t>(data->batches()))));
    } else if (Chance(2) && !old_batches_.empty()) {
      push->batches = {old_batches_[Draw(old_batches_.size())]};
    } else if (!push->batches.empty()) {
      push->batches.push_back(push->batches[0]);
    }
  }
  if (push->odd && push->batches.empty() && !old_batches_.empty() && Chance(2)) {
    push->batches = {old_batches_.back()};
  }
  push->examples = 0;
  for (const int64_t batch : push->batches) push->examples += data->ExamplesOf(batch);
  if (push->examples == 0 || Chance(20)) {
    push->odd = true;
    ++push->examples;
  }
}

void RandomWorker::BeginPush() {
  const SentPush push = Choose();
  Note("begins push ", push.sequence, " from step ", push.base_step, " with ", push.examples,
       push.malformed ? ", malformed" : "", push.non_finite ? ", not finite" : "",
       push.huge ? ", huge" : "", ", of timeline ", push.timeline, push.odd ? ", odd" : "",
       push.batches.empty() ? "" : ", with batches ", absl::StrJoin(push.batches, " "));
  queued_ = std::max(queued_, push.sequence);
  Cut(push);
  SendPart();
}

void RandomWorker::Abort() {
  Part part;
  part.aborts = true;
  part.push.sequence = queue_.empty() ? queued_ : queue_.front().push.sequence;
  if (Chance(8)) part.push.sequence += static_cast<int64_t>(Draw(3)) - 1;
  part.push.sequence = std::max<int64_t>(part.push.sequence, 1);
  if (!queue_.empty() && queue_.front().push.sequence == part.push.sequence) queue_.clear();
  part.request.mutable_abort_push()->set_sequence(part.push.sequence);
  Note("takes back push ", part.push.sequence);
  if (model_ != nullptr) model_->SignOfLife(id_);
  sent_ = part;
  stream_->Send(std::move(part.request));
}

uint64_t RandomWorker::TimelineTold() const {
  uint64_t told = stream_->welcome()->timeline();
  for (const v1::RunEvent& event : stream_->events()) {
    if (event.kind() == v1::RUN_EVENT_KIND_TIMELINE) told = event.timeline();
  }
  return told;
}

void RandomWorker::Cut(const SentPush& push) {
  const int64_t chunks = 1 + static_cast<int64_t>(Draw(4));
  const int64_t length = (elements_ + chunks - 1) / chunks;
  const size_t what = Draw(4);
  for (int64_t at = 0; at < elements_; at += length) {
    const int64_t count = std::min(length, elements_ - at);
    Part part;
    part.push = push;
    part.begins = at == 0;
    v1::Push& message = *part.request.mutable_push();
    if (part.begins) {
      v1::PushHeader& header = *message.mutable_header();
      header.set_sequence(push.sequence);
      header.set_base_step(push.base_step);
      header.set_examples(push.malformed && what == 0 ? 0 : push.examples);
      header.set_loss(1);
      for (const int64_t batch : push.batches) {
        v1::BatchRange& range = *header.add_batches();
        range.set_first(batch);
        range.set_count(1);
      }
      // What is of the stream's first timeline may leave it to that.
      const bool says = says_timelines_ || Chance(8);
      const bool may_not = push.timeline != stream_->welcome()->timeline();
      if (says && (may_not || !Chance(8))) header.set_timeline(push.timeline);
      if (header.timeline() == 0) part.push.timeline = stream_->welcome()->timeline();
    }
    int64_t offset = at;
    if (push.malformed && what == 1) offset += 1;                  // Past the end.
    if (push.malformed && what == 2 && elements_ - at == count) {  // With a gap.
      offset = at + count;
    }
    message.mutable_chunk()->set_offset(offset);
    size_t bytes = static_cast<size_t>(count) * sizeof(float);
    if (push.malformed && what == 3) bytes -= 1;
    if (at + count == elements_) {
      part.completes = true;
      message.mutable_commit()->set_want_parameters(!Chance(3));
    }
    part.data = Payload({{reinterpret_cast<const std::byte*>(push.gradient->data() + at), bytes}},
                        push.gradient);
    queue_.push_back(std::move(part));
  }
}

}  // namespace gradd

#include "core/durability/durable_log.h"

#include <algorithm>
#include <utility>

#include "absl/strings/string_view.h"
#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/durability/logged_event.h"

namespace gradd {
namespace {

// What a sync that failed has left is not known, so that nothing may be tried once more after it,
// not even where it was for want of room.
absl::Status Final(absl::Status synced) {
  if (!IsDiskFull(synced)) return synced;
  return Error(absl::StatusCode::kFailedPrecondition, "FILE", synced.message());
}

}  // namespace

DurableLog::DurableLog(std::shared_ptr<const RunFolder> folder, std::shared_ptr<Executor> io)
    : folder_(std::move(folder)), io_(std::move(io)) {}

void DurableLog::GoOn(Position position) {
  MutexLock lock(&mutex_);
  GRADD_DCHECK(appended_ == 0 && !started_, "the log has begun");
  durable_.store(position.last_event, std::memory_order_release);
  written_.store(position.last_event, std::memory_order_release);
  journal_ = position.journal;
  appended_ = position.last_event;
  position_ = std::move(position);
}

void DurableLog::AwaitSegment() {
  MutexLock lock(&mutex_);
  Item item;
  item.kind = Item::Kind::kOpenSegment;
  item.last_event = appended_;
  queue_.push_back(std::move(item));
  pending_.push_back(appended_);
  durable_.store(appended_ - 1, std::memory_order_release);
}

void DurableLog::Start() {
  MutexLock lock(&mutex_);
  started_ = true;
  ScheduleWrite();
}

void DurableLog::SetListener(const std::function<void()>& moved) {
  MutexLock lock(&mutex_);
  moved_ = moved;
}

absl::Status DurableLog::failure() const {
  MutexLock lock(&mutex_);
  return fault_;
}

bool DurableLog::waits_for_room() const {
  MutexLock lock(&mutex_);
  return waits_for_room_ || (!awaited_.empty() && checkpoint_lacks_room_);
}

void DurableLog::Append(const state::v1::Event& event, Pushes pushes) {
  const bool is_control = IsControlEvent(event);
  MutexLock lock(&mutex_);
  GRADD_DCHECK(event.number() == appended_ + 1, "an event is missing in the log");
  appended_ = event.number();
  if (event.has_created()) journal_ = event.created().spec().journal();
  if (event.has_change()) journal_ = event.change().spec().journal();
  if (event.has_deleted()) awaited_.clear();  // There will be none.
  if (!fault_.ok() || closed_) return;
  if (event.has_deleted()) {
    // What comes before it goes with the folder; and that needs no room.
    is_deleted_ = true;
    queue_.clear();
  }
  if (is_control || journal_) {
    Item item;
    item.last_event = event.number();
    item.logged = DescribeEvent(event, pushes);
    item.pushes.assign(pushes.begin(), pushes.end());
    queue_.push_back(std::move(item));
    unwritten_.push_back(event.number());
    pending_.push_back(event.number());
    ScheduleWrite(/*retries=*/is_deleted_);
  }
  UpdateWritten();
  UpdateDurable();
}

void DurableLog::AwaitCheckpoint(int64_t event) {
  MutexLock lock(&mutex_);
  awaited_.push_back(event);
  durable_.store(std::min(durable_.load(std::memory_order_relaxed), awaited_.front() - 1),
                 std::memory_order_release);
}

void DurableLog::CheckpointMade(int64_t event) {
  std::function<void()> moved;
  {
    MutexLock lock(&mutex_);
    if (awaited_.empty() || awaited_.front() > event) return;
    while (!awaited_.empty() && awaited_.front() <= event) awaited_.pop_front();
    if (awaited_.empty()) checkpoint_lacks_room_ = false;
    UpdateDurable();
    moved = moved_;
  }
  if (moved) moved();
}

std::optional<DurabilitySigns> DurableLog::signs() const {
  MutexLock lock(&mutex_);
  DurabilitySigns signs = signs_;
  signs.log_bytes = bytes();
  return signs;
}

void DurableLog::SetCheckpointSigns(const DurabilitySigns& signs) {
  MutexLock lock(&mutex_);
  const DurabilitySigns before = std::exchange(signs_, signs);
  signs_.syncs = before.syncs;
  signs_.sync_time = before.sync_time;
}

void DurableLog::CheckpointFailed(const absl::Status& why) {
  MutexLock lock(&mutex_);
  checkpoint_lacks_room_ = IsDiskFull(why);
}

void DurableLog::BeginSegment() {
  MutexLock lock(&mutex_);
  if (!fault_.ok() || closed_ || is_deleted_) return;
  bytes_.store(0, std::memory_order_relaxed);
  Item item;
  item.kind = Item::Kind::kBeginSegment;
  item.last_event = appended_;
  queue_.push_back(std::move(item));
  ScheduleWrite();
}

void DurableLog::Close(bool complete, std::function<void()> done) {
  std::function<void()> moved;
  {
    MutexLock lock(&mutex_);
    const bool was_closed = std::exchange(closed_, true);
    if (fault_.ok() && (!waits_for_room_ || writing_) && started_ && !was_closed) {
      if (complete && !is_deleted_) {
        Item item;
        item.kind = Item::Kind::kComplete;
        item.last_event = appended_;
        queue_.push_back(std::move(item));
      }
      if (writing_ || !queue_.empty()) {
        when_closed_ = std::move(done);
        return ScheduleWrite();
      }
    }
    // Whoever waits, for room or for a checkpoint, is told that it does not come.
    if (fault_.ok() && !writing_) {
      StopLocked();
      moved = moved_;
    }
  }
  if (moved) moved();
  done();
}

bool DurableLog::UseFolder(const std::function<void(const RunFolder&)>& use) const {
  MutexLock lock(&folder_mutex_);
  if (left_folder_) return false;
  use(*folder_);
  return true;
}

void DurableLog::Retry() {
  MutexLock lock(&mutex_);
  ScheduleWrite(/*retries=*/true);
}

void DurableLog::ScheduleWrite(bool retries) {
  if (!started_ || writing_ || queue_.empty() || (waits_for_room_ && !retries)) return;
  writing_ = true;
  io_->Schedule([self = shared_from_this()] { self->WriteAll(); });
}

void DurableLog::StopLocked() {
  fault_ = StoppingError();
  // A step that waits for it is complete, and told to nobody.
  written_.store(kAll, std::memory_order_release);
}

void DurableLog::UpdateWritten() {
  const int64_t written = unwritten_.empty() ? appended_ : unwritten_.front() - 1;
  if (written > written_.load(std::memory_order_relaxed)) {
    written_.store(written, std::memory_order_release);
  }
}

void DurableLog::UpdateDurable() {
  int64_t durable = pending_.empty() ? appended_ : pending_.front() - 1;
  if (!awaited_.empty()) durable = std::min(durable, awaited_.front() - 1);
  if (durable > durable_.load(std::memory_order_relaxed)) {
    durable_.store(durable, std::memory_order_release);
  }
}

void DurableLog::WriteAll() {
  for (bool again = true; again;) {
    std::deque<Item> items;
    {
      MutexLock lock(&mutex_);
      items.swap(queue_);
    }
    const int64_t last = items.back().last_event;
    absl::Status status = Write(&items);
    const int64_t written = items.empty() ? last : items.front().last_event - 1;
    {
      MutexLock lock(&mutex_);
      while (!unwritten_.empty() && unwritten_.front() <= written) unwritten_.pop_front();
      UpdateWritten();
    }
    // What was written of it before the disk was full.
    if (segment_ != nullptr && (status.ok() || IsDiskFull(status))) {
      const absl::Duration begin = Clock::Real()->Elapsed();
      if (absl::Status synced = Final(segment_->Sync()); !synced.ok()) status = synced;
      MutexLock lock(&mutex_);
      ++signs_.syncs;
      signs_.sync_time += Clock::Real()->Elapsed() - begin;
    }
    const bool no_room = IsDiskFull(status);
    std::function<void()> moved;
    std::function<void()> closed;
    {
      MutexLock lock(&mutex_);
      if (status.ok() || (no_room && segment_ != nullptr)) {
        while (!pending_.empty() && pending_.front() <= (status.ok() ? last : written)) {
          pending_.pop_front();
        }
      }
      bool goes_on = status.ok();
      if (no_room) {
        queue_.insert(queue_.begin(), std::make_move_iterator(items.begin()),
                      std::make_move_iterator(items.end()));
        // What comes before a deletion, which is the last one, goes with the folder.
        goes_on = is_deleted_ && queue_.size() > 1;
        if (goes_on) queue_.erase(queue_.begin(), queue_.end() - 1);
      } else if (!status.ok()) {
        fault_ = status;
        queue_.clear();
        written_.store(kAll, std::memory_order_release);
      }
      waits_for_room_ = no_room && !goes_on;
      UpdateDurable();
      again = goes_on && !queue_.empty();
      writing_ = again;
      if (closed_ && !again && fault_.ok()) StopLocked();
      moved = moved_;
      if (!again) closed = std::exchange(when_closed_, nullptr);
    }
    if (moved) moved();
    if (closed) closed();
  }
}

absl::Status DurableLog::Write(std::deque<Item>* items) {
  for (; !items->empty(); items->pop_front()) {
    if (absl::Status status = WriteItem(items->front()); !status.ok()) return status;
    position_.last_event = items->front().last_event;
  }
  return absl::OkStatus();
}

absl::Status DurableLog::WriteItem(const Item& item) {
  switch (item.kind) {
    case Item::Kind::kEvent:
      return WriteEvent(item);
    case Item::Kind::kBeginSegment:
      return segment_ == nullptr ? absl::OkStatus() : CloseSegment(/*complete=*/false);
    case Item::Kind::kOpenSegment:
      return segment_ == nullptr ? OpenSegment() : absl::OkStatus();
    case Item::Kind::kComplete:
      if (segment_ == nullptr) {
        if (absl::Status opened = OpenSegment(); !opened.ok()) return opened;
      }
      return CloseSegment(/*complete=*/true);
  }
  return absl::OkStatus();
}

absl::Status DurableLog::WriteEvent(const Item& item) {
  const state::v1::Event& event = item.logged.event();
  if (event.has_deleted()) {
    segment_.reset();
    MutexLock lock(&folder_mutex_);
    absl::Status buried = folder_->Bury(position_.run_uid);
    if (buried.ok()) {
      left_folder_ = true;
      io_->Schedule([folder = folder_, uid = position_.run_uid] {
        folder->RemoveBuried(uid).IgnoreError();  // The next server tries again.
      });
    }
    return buried;
  }
  if (event.has_created()) {
    position_.run_uid = event.created().uid();
    if (absl::Status created = folder_->Create(); !created.ok()) return created;
  }
  if (event.has_timeline()) position_.timeline = event.timeline().number();
  if (event.has_restored()) position_.timeline = event.restored().number();
  if (segment_ == nullptr) {
    if (absl::Status opened = OpenSegment(); !opened.ok()) return opened;
  }
  std::vector<absl::string_view> data;
  for (const auto& push : item.pushes) AppendData(*push, &data);
  const int64_t before = segment_->bytes();
  absl::Status added = segment_->Add(RecordKind::kEvent, item.logged.SerializeAsString(), data);
  bytes_.fetch_add(segment_->bytes() - before, std::memory_order_relaxed);
  if (!added.ok() || !event.has_created()) return added;
  // The run's folder is there from now on.
  if (absl::Status synced = Final(segment_->Sync()); !synced.ok()) return synced;
  return Final(folder_->Publish());
}

absl::Status DurableLog::OpenSegment() {
  state::v1::LogHeader header;
  header.set_format_version(1);
  header.set_run_id(folder_->run_id());
  header.set_run_uid(position_.run_uid);
  header.set_segment(position_.segment);
  header.set_first_event(position_.last_event + 1);
  header.set_previous_bytes(position_.previous_bytes);
  header.set_timeline(position_.timeline);
  auto segment = LogSegment::Create(&folder_->files(), folder_->path(), header);
  if (!segment.ok()) return segment.status();
  segment_ = *std::move(segment);
  ++position_.segment;
  return absl::OkStatus();
}

absl::Status DurableLog::CloseSegment(bool complete) {
  state::v1::LogEnd end;
  end.set_last_event(position_.last_event);
  end.set_complete(complete);
  // So that the end says of all before it that it was durable: then no damage is taken for a tail.
  absl::Status closed = Final(segment_->Sync());
  if (closed.ok()) closed = segment_->Add(RecordKind::kEnd, end.SerializeAsString(), {});
  if (closed.ok()) closed = Final(segment_->Sync());
  if (!closed.ok()) return closed;
  segment_.reset();
  position_.previous_bytes = 0;
  return absl::OkStatus();
}

}  // namespace gradd

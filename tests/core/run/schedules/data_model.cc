#include "tests/core/run/schedules/data_model.h"

#include <algorithm>

namespace gradd {

DataModel::DataModel(const v1::DataSet& spec)
    : spec_(spec),
      per_epoch_((spec.examples() + spec.batch_size() - 1) / spec.batch_size()),
      batches_(static_cast<size_t>(per_epoch_ * spec.epochs())) {}

int64_t DataModel::ExamplesOf(int64_t batch) const {
  const int64_t in_epoch = batch % per_epoch_;
  return std::min(spec_.batch_size(), spec_.examples() - in_epoch * spec_.batch_size());
}

bool DataModel::MayPush(const std::string& worker, const Ranges& ranges) const {
  for (const v1::BatchRange& range : ranges) {
    for (int64_t number = range.first(); number < range.first() + range.count(); ++number) {
      if (number < 0 || number >= batches()) return false;
      if (batches_[static_cast<size_t>(number)].claims.count(worker) == 0) return false;
    }
  }
  return true;
}

bool DataModel::AnySurelyFree() const {
  return std::any_of(batches_.begin(), batches_.end(), IsSurelyFree);
}

int64_t DataModel::HeldBy(const std::string& worker) const {
  return std::count_if(batches_.begin(), batches_.end(),
                       [&](const Batch& batch) { return !batch.used && batch.holder == worker; });
}

int64_t DataModel::FirstUnknown(const std::string& worker, const std::set<int64_t>& known) const {
  for (int64_t number = 0; number < batches(); ++number) {
    const Batch& batch = batches_[static_cast<size_t>(number)];
    if (!batch.used && batch.holder == worker && known.count(number) == 0) return number;
  }
  return -1;
}

bool DataModel::SurelyIdle(const std::string& worker) const {
  const bool any_free = std::any_of(batches_.begin(), batches_.end(), [](const Batch& batch) {
    return !batch.used && batch.holder.empty();
  });
  return !any_free && HeldBy(worker) == 0;
}

bool DataModel::MayHaveBeenIdle(int64_t step, const std::string& worker) const {
  const auto found = idle_.find(step);
  return found != idle_.end() && found->second.count(worker) == 1;
}

std::vector<int64_t> DataModel::NumbersIn(const Ranges& ranges) {
  std::vector<int64_t> numbers;
  std::set<int64_t> seen;
  for (const v1::BatchRange& range : ranges) {
    if (range.count() < 1) Fail("a range of ", range.count(), " batches");
    for (int64_t number = range.first(); number < range.first() + range.count(); ++number) {
      if (number < 0 || number >= batches()) {
        Fail("it names batch ", number);
        return {};
      }
      if (!seen.insert(number).second) Fail("it names batch ", number, " twice");
      numbers.push_back(number);
    }
  }
  return numbers;
}

void DataModel::Append(const state::v1::Event& event) {
  number_ = event.number();
  switch (event.kind_case()) {
    case state::v1::Event::kStep: {
      for (const state::v1::DecidedPush& push : event.step().used()) Use(push);
      for (const state::v1::AnsweredPush& answer : event.step().others()) Answer(answer);
      if (!AnySurelyFree()) {
        for (const std::string& worker : workers_) {
          if (HeldBy(worker) == 0) idle_[event.step().step()].insert(worker);
        }
      }
      break;
    }
    case state::v1::Event::kFold:
      Use(event.fold().push());
      break;
    case state::v1::Event::kAnswer:
      Answer(event.answer());
      break;
    case state::v1::Event::kLease:
      Grant(event.lease());
      break;
    case state::v1::Event::kMember: {
      const state::v1::MemberChange& change = event.member();
      workers_.insert(change.worker());
      if (change.kind() != state::v1::MemberChange::KIND_LEFT &&
          change.kind() != state::v1::MemberChange::KIND_LOST) {
        break;
      }
      for (Batch& batch : batches_) {
        if (batch.holder == change.worker()) batch.holder.clear();
      }
      break;
    }
    case state::v1::Event::kTimeline:
      for (Batch& batch : batches_) {
        batch.holder.clear();
        batch.claims.clear();
      }
      break;
    default:
      break;
  }
}

void DataModel::Grant(const state::v1::DataLease& lease) {
  const std::vector<int64_t> numbers = NumbersIn(lease.ranges());
  if (numbers.empty()) Fail("a lease of nothing");
  int64_t next = 0;
  for (const int64_t number : numbers) {
    Batch& batch = batches_[static_cast<size_t>(number)];
    if (lease.kind() != state::v1::DataLease::KIND_GRANTED) {
      if (batch.holder != lease.worker()) Fail(lease.worker(), " gives back ", number);
      batch.holder.clear();
      if (lease.kind() == state::v1::DataLease::KIND_RETURNED) LetGo(lease.worker(), &batch);
      continue;
    }
    if (batch.used) Fail("batch ", number, " goes out and is used up");
    if (!batch.holder.empty()) Fail("batch ", number, " goes out, and ", batch.holder, " has it");
    if (number < next) Fail("batch ", number, " goes out after ", next - 1);
    for (; next < number; ++next) {
      if (IsSurelyFree(batches_[static_cast<size_t>(next)])) {
        Fail("batch ", number, " goes out before ", next);
      }
    }
    next = number + 1;
    batch.holder = lease.worker();
    batch.claims.insert(lease.worker());
  }
}

void DataModel::LetGo(const std::string& worker, Batch* batch) {
  batch->claims.erase(worker);
  if (batch->holder == worker) batch->holder.clear();
}

void DataModel::Use(const state::v1::DecidedPush& push) {
  int64_t examples = 0;
  for (const int64_t number : NumbersIn(push.batches())) {
    Batch& batch = batches_[static_cast<size_t>(number)];
    if (batch.used) Fail("batch ", number, " is used a second time, by ", push.worker());
    if (batch.claims.count(push.worker()) == 0) {
      Fail("batch ", number, " is used by ", push.worker(), ", which has not had it");
    }
    batch.used = true;
    ++used_;
    LetGo(push.worker(), &batch);
    examples += ExamplesOf(number);
  }
  if (examples != push.examples()) {
    Fail("push ", push.sequence(), " of ", push.worker(), " has ", push.examples(),
         " examples, and its batches ", examples);
  }
}

void DataModel::Answer(const state::v1::AnsweredPush& answer) {
  const std::string& worker = answer.worker();
  const bool skipped = answer.outcome() == v1::PUSH_OUTCOME_SKIPPED;
  const bool keeps = answer.outcome() == v1::PUSH_OUTCOME_REJECTED ||
                     answer.outcome() == v1::PUSH_OUTCOME_ROLLED_BACK;
  if (keeps != answer.batches().empty()) {
    Fail("a push of ", worker, " is ", v1::PushOutcome_Name(answer.outcome()), " with ",
         answer.batches_size(), " ranges");
  }
  bool late = false;
  for (const int64_t number : NumbersIn(answer.batches())) {
    Batch& batch = batches_[static_cast<size_t>(number)];
    const size_t others = batch.claims.size() - batch.claims.count(worker);
    late = late || batch.used || others > 0;
    if (skipped && batch.used) Fail("batch ", number, " is skipped and was used up before");
    if (skipped && batch.holder == worker && ++batch.skips == spec_.most_skips()) {
      batch.used = true;
      ++used_;
    }
    LetGo(worker, &batch);
  }
  if (answer.outcome() == v1::PUSH_OUTCOME_BATCH_USED && !late) {
    Fail("a push of ", worker, " comes too late, and nobody else has had its batches");
  }
}

}  // namespace gradd

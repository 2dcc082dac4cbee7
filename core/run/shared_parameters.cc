#include "core/run/shared_parameters.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace gradd {
namespace {

// Versions of the parameters for which there are addresses; only those that workers hold take
// memory. A worker that finds no room gets its parameters over the stream.
constexpr int64_t kParameterVersions = 8;
// SharedParameters names every block, in one message.
constexpr int64_t kMaxBlocks = 200'000;

void DescribeFile(const SharedRegion& region, v1::SharedFile* file) {
  file->set_file(region.file());
  file->set_token(region.token());
}

// Whether regions may take this many files: half are for connections.
bool LeavesFiles(int file) {
  rlimit limit = {};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 && static_cast<rlim_t>(file) < limit.rlim_cur / 2;
}

// Has the pool fault in the first `bytes` of a region, a piece at a time, so that the first step
// does not have to. Stops when nobody else has the region any more.
void FaultInLater(std::shared_ptr<SharedRegion> region, int64_t bytes,
                  const std::shared_ptr<Executor>& pool) {
  static constexpr int64_t kPieceBytes = int64_t{1} << 20;
  auto fault_in = [region = std::move(region), bytes, pool] {
    pool->ParallelFor((bytes + kPieceBytes - 1) / kPieceBytes, [&](int64_t piece) {
      const int64_t begin = piece * kPieceBytes;
      if (region.use_count() > 1) region->FaultIn(begin, std::min(kPieceBytes, bytes - begin));
    });
  };
  pool->Schedule(std::move(fault_in));
}

}  // namespace

SharedParameters::SharedParameters(std::shared_ptr<MemoryBudget> budget,
                                   std::shared_ptr<StoreMemory> memory,
                                   std::shared_ptr<Executor> pool, int64_t elements,
                                   int64_t block_elements)
    : budget_(std::move(budget)),
      memory_(std::move(memory)),
      pool_(std::move(pool)),
      elements_(elements),
      block_elements_(block_elements) {}

bool SharedParameters::MakeParameterRegion() {
  if (parameters_ != nullptr) return true;
  const int64_t bytes = RoundUpToPages(elements_ * int64_t{sizeof(float)});
  const int64_t blocks = (elements_ + block_elements_ - 1) / block_elements_;
  const int64_t block_bytes = RoundUpToPages(block_elements_ * int64_t{sizeof(float)});
  auto parameters =
      SharedRegion::Create(kParameterVersions * std::min(blocks * block_bytes, bytes + PageBytes()),
                           SharedRegion::Access::kPeerReads);
  if (!parameters.ok()) return false;
  parameters_ = *std::move(parameters);
  // One version is read by workers while the next one is written. Claimed until steps have them,
  // block by block.
  if (memory_->Foresee(2 * bytes)) FaultInLater(parameters_, 2 * bytes, pool_);
  return true;
}

void SharedParameters::MakeRoom(int64_t elements, MemoryBudget* budget) {
  budget->MakeRoom(MemoryUse::kShared, RoundUpToPages(elements * int64_t{sizeof(float)}));
}

void SharedParameters::Offer(WorkerSession* session, v1::Welcome* welcome) {
  WorkerSession::State& state = session->state();
  const int64_t blocks = (elements_ + block_elements_ - 1) / block_elements_;
  if (!state.sink->same_host() || blocks > kMaxBlocks) return;
  const int64_t bytes = RoundUpToPages(elements_ * int64_t{sizeof(float)});
  auto quota = budget_->TakeNow(MemoryUse::kShared, bytes);
  if (quota == nullptr) return;
  auto gradient = SharedRegion::Create(bytes, SharedRegion::Access::kPeerWrites);
  if (!gradient.ok() || !LeavesFiles((*gradient)->file())) return;
  if (!MakeParameterRegion()) return;
  state.gradient = *std::move(gradient);
  FaultInLater(state.gradient, bytes, pool_);
  state.gradient_quota = std::move(quota);
  v1::SharedMemory& shared = *welcome->mutable_shared_memory();
  shared.set_process_id(getpid());
  DescribeFile(*state.gradient, shared.mutable_gradient());
  DescribeFile(*parameters_, shared.mutable_parameters());
  shared.set_block_elements(block_elements_);
}

void SharedParameters::Begin(StepEngine* engine) {
  if (parameters_ == nullptr || begun_) return;
  engine->ShareTrainingVector(parameters_);
  begun_ = true;
}

bool SharedParameters::Describe(const Snapshot& snapshot, v1::SharedParameters* shared) {
  shared->set_step(snapshot.step);
  if (snapshot.timeline != nullptr) {
    shared->set_timeline(snapshot.timeline->number);
    shared->set_run_uid(snapshot.timeline->run_uid);
  }
  for (const BlockRef& block : snapshot.parameters) {
    if (block.region_offset() < 0) return false;
    shared->add_block_offsets(block.region_offset());
  }
  return true;
}

}  // namespace gradd

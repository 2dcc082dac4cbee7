// Shared memory for workers on the same host.

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/error.h"
#include "core/run/run.h"
#include "core/sync/shared_gradient.h"

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
                  const std::shared_ptr<ThreadPool>& pool) {
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

void Run::OfferSharedMemory(WorkerSession* session, v1::Welcome* welcome) {
  WorkerSession::State& state = session->state_;
  const int64_t blocks =
      (layout_.element_count() + environment_.block_elements - 1) / environment_.block_elements;
  if (!state.sink->same_host() || blocks > kMaxBlocks) return;
  const int64_t bytes = RoundUpToPages(layout_.element_count() * int64_t{sizeof(float)});
  auto quota = environment_.budget->TakeNow(MemoryUse::kShared, bytes);
  if (quota == nullptr) return;
  auto gradient = SharedRegion::Create(bytes, SharedRegion::Access::kPeerWrites);
  if (!gradient.ok() || !LeavesFiles((*gradient)->file())) return;
  if (parameter_region_ == nullptr) {
    const int64_t block_bytes =
        RoundUpToPages(environment_.block_elements * int64_t{sizeof(float)});
    auto parameters = SharedRegion::Create(
        kParameterVersions * std::min(blocks * block_bytes, bytes + PageBytes()),
        SharedRegion::Access::kPeerReads);
    if (!parameters.ok()) return;
    parameter_region_ = *std::move(parameters);
    // One version is read by workers while the next one is written.
    if (memory_.store->Foresee(2 * bytes)) FaultInLater(parameter_region_, 2 * bytes, pool_);
  }
  state.gradient = *std::move(gradient);
  FaultInLater(state.gradient, bytes, pool_);
  state.gradient_quota = std::move(quota);
  v1::SharedMemory& shared = *welcome->mutable_shared_memory();
  shared.set_process_id(getpid());
  DescribeFile(*state.gradient, shared.mutable_gradient());
  DescribeFile(*parameter_region_, shared.mutable_parameters());
  shared.set_block_elements(environment_.block_elements);
}

absl::Status Run::StageSharedGradient(WorkerSession* session, StagedPush* push) {
  std::shared_ptr<SharedRegion> region;
  {
    MutexLock lock(&mutex_);
    region = session->state_.gradient;
  }
  if (region == nullptr) {
    return Error(absl::StatusCode::kInvalidArgument, "NOT_SHARED",
                 "gradient_is_shared, but the session has no shared memory; send chunks");
  }
  return gradd::StageSharedGradient(*region, staging_blocks_.get(), pool_.get(), push);
}

bool Run::MayBeHeldForLong() const {
  // A synchronous step waits for its workers anyway.
  return spec_.policy().has_synchronous() || store_.HasRoomForVersion();
}

bool Run::SendSharedParameters(WorkerSession* session,
                               const std::shared_ptr<const Snapshot>& snapshot) {
  if (session->state_.gradient == nullptr) return false;
  Member* const member = MemberOf(session);
  if (member == nullptr) return false;
  v1::TrainResponse response;
  v1::SharedParameters& parameters = *response.mutable_shared_parameters();
  parameters.set_step(snapshot->step);
  for (const BlockRef& block : snapshot->parameters) {
    if (block.region_offset() < 0) return false;
    parameters.add_block_offsets(block.region_offset());
  }
  if (!MayBeHeldForLong()) return false;
  member->mapped = snapshot;
  --session->state_.parameters_on_way;
  GRADD_DCHECK(session->state_.parameters_on_way >= 0, session->state_.worker);
  progress_.profile().Add(StepProfile::kSend, absl::ZeroDuration());
  session->state_.sink->Send(std::move(response));
  return true;
}

}  // namespace gradd

#include "core/step/step_memory.h"

#include <algorithm>
#include <new>

#include "core/sync/aggregate.h"

namespace gradd {
namespace {

bool Reserve(const std::vector<bool>& touched, const ParameterStore& store,
             const EarlySnapshots& early) {
  std::vector<const Snapshot*> nexts;
  for (const auto& [encoding, next] : early) nexts.push_back(next.get());
  try {
    store.ReserveForStep(nexts, touched);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

int64_t BlocksElsewhere(const std::vector<bool>& touched, const ParameterStore& store) {
  int64_t blocks = 0;
  for (int64_t block = 0; block < store.block_count(); ++block) {
    const bool updated = touched.empty() || touched[static_cast<size_t>(block)];
    if (updated && store.WritesElsewhere(block)) ++blocks;
  }
  return blocks;
}

}  // namespace

std::vector<bool> TouchedBlocks(const std::vector<std::shared_ptr<const StagedPush>>& pushes,
                                const UpdatePlan& plan, const ParameterStore& store,
                                int64_t elements) {
  const Aggregate aggregate(pushes, std::vector<float>(pushes.size(), 1),
                            [&plan](int64_t element) { return plan.IsLazy(element); });
  if (!aggregate.has_lazy_rows()) return {};
  std::vector<bool> touched;
  for (int64_t block = 0; block < store.block_count(); ++block) {
    const int64_t begin = store.block_begin(block);
    const int64_t end = std::min(begin + store.block_elements(), elements);
    touched.push_back(Aggregate::SpanReader(aggregate, begin).Seek(end) < end);
  }
  return touched;
}

bool ReserveForStep(const std::vector<bool>& touched, const ParameterStore& store,
                    StoreMemory* memory, const VersionReaders& readers, bool room_is_made,
                    EarlySnapshots* early) {
  if (Reserve(touched, store, *early)) return true;
  if (!room_is_made) return false;
  early->clear();
  if (Reserve(touched, store, *early)) return true;
  if (BlocksElsewhere(touched, store) > readers.lost_holds()) return false;
  memory->set_may_overdraw(true);
  const bool reserved = Reserve(touched, store, *early);
  memory->set_may_overdraw(false);
  return reserved;
}

}  // namespace gradd

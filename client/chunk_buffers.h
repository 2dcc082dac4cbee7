#ifndef GRADD_CLIENT_CHUNK_BUFFERS_H_
#define GRADD_CLIENT_CHUNK_BUFFERS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "core/store/block.h"
#include "core/store/block_payload.h"
#include "core/store/payload.h"

namespace gradd {

// More at once would only make the first chunk leave later.
inline constexpr int64_t kUsefulChunkBytes = int64_t{1} << 20;

inline constexpr int64_t kFloatBytes = sizeof(float);

// Memory for encoded chunks, all of one size. Several threads may call Fill() at a time.
class ChunkBuffers {
 public:
  // Encodes `bytes` bytes by `encode(std::byte* out)`.
  template <typename Encode>
  Payload Fill(int64_t bytes, const Encode& encode) const {
    BlockRef buffer =
        pool_->Allocate((std::max(bytes, usual_bytes_) + kFloatBytes - 1) / kFloatBytes);
    encode(reinterpret_cast<std::byte*>(buffer.data()));
    return BytesOf(std::move(buffer), static_cast<size_t>(bytes));
  }
  void set_usual_bytes(int64_t bytes) { usual_bytes_ = bytes; }

 private:
  const std::shared_ptr<BlockPool> pool_ = BlockPool::Create();
  int64_t usual_bytes_ = 0;
};

}  // namespace gradd

#endif  // GRADD_CLIENT_CHUNK_BUFFERS_H_

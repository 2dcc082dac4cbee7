#include "client/push_encoder.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "client/chunk_buffers.h"
#include "client/dense_push_encoder.h"
#include "client/rows_push_encoder.h"
#include "core/base/mix.h"
#include "core/codec/error_feedback.h"
#include "core/codec/random_k.h"
#include "core/codec/sparse.h"
#include "core/codec/top_k.h"

namespace gradd {
namespace {

// A few elements, chosen when the push begins; the others wait in the residual.
class SparsePushEncoder final : public PushEncoder {
 public:
  SparsePushEncoder(const PushEncoding& encoding, int64_t elements)
      : encoding_(encoding),
        elements_(elements),
        count_(std::clamp<int64_t>(std::llround(encoding.fraction * static_cast<double>(elements)),
                                   1, elements)),
        feedback_(elements) {
    indices_.reserve(static_cast<size_t>(count_));
    values_.reserve(static_cast<size_t>(count_));
  }

  absl::Status Begin(int64_t sequence, absl::Span<const float> gradient,
                     std::shared_ptr<const void> /*owner*/) override {
    if (absl::Status added = feedback_.Add(gradient); !added.ok()) return added;
    gradient_ = gradient;
    if (encoding_.kind == PushEncoding::Kind::kTopK) {
      top_k_.Select(feedback_.residual(), count_, &indices_);
    } else {
      RandomK(elements_, count_, MixKey(encoding_.seed, static_cast<uint64_t>(sequence)),
              &indices_);
    }
    values_.resize(indices_.size());
    feedback_.Take(indices_, absl::MakeSpan(values_));
    return absl::OkStatus();
  }

  void Rewind(int64_t max_chunk_bytes) override {
    next_pair_ = 0;
    next_ = 0;
    chunk_pairs_ =
        static_cast<size_t>(std::min(max_chunk_bytes, kUsefulChunkBytes) / kSparsePairBytes);
    const size_t usual = std::min(chunk_pairs_, static_cast<size_t>(count_));
    buffers_.set_usual_bytes(static_cast<int64_t>(usual) * kSparsePairBytes);
  }

  bool done() const override { return next_ == elements_; }

  Payload Next(v1::ParameterChunk* chunk) override {
    const size_t pairs = std::min(chunk_pairs_, indices_.size() - next_pair_);
    const auto indices = absl::MakeConstSpan(indices_).subspan(next_pair_, pairs);
    const auto values = absl::MakeConstSpan(values_).subspan(next_pair_, pairs);
    const int64_t begin = next_;
    next_pair_ += pairs;
    // Up to the next element that is sent, so that chunks cover the zeros between them.
    next_ = next_pair_ == indices_.size() ? elements_ : int64_t{indices_[next_pair_]};
    chunk->set_offset(begin);
    chunk->set_encoding(v1::ENCODING_SPARSE);
    chunk->set_element_count(next_ - begin);
    return buffers_.Fill(static_cast<int64_t>(pairs) * kSparsePairBytes, [&](std::byte* out) {
      EncodeSparse(indices, values, static_cast<uint32_t>(begin), out);
    });
  }

  void Finish(bool applied) override {
    if (!applied) feedback_.GiveBack(indices_, values_);
    gradient_ = {};
  }

  void TakeBack() override {
    feedback_.GiveBack(indices_, values_);
    feedback_.Remove(gradient_);
    gradient_ = {};
  }

  void Forget() override { feedback_.Clear(); }

 private:
  const PushEncoding encoding_;
  const int64_t elements_;
  const int64_t count_;  // Of the elements that a push sends.
  ErrorFeedback feedback_;
  absl::Span<const float> gradient_;  // Of the push.
  TopK top_k_;
  std::vector<uint32_t> indices_;
  std::vector<float> values_;
  size_t chunk_pairs_ = 0;
  size_t next_pair_ = 0;
  int64_t next_ = 0;
  ChunkBuffers buffers_;
};

}  // namespace

std::unique_ptr<PushEncoder> PushEncoder::Create(const PushEncoding& encoding,
                                                 const Layout& layout) {
  const v1::Encoding wire = WireEncoding(encoding.kind);
  const int64_t elements = layout.element_count();
  if (wire == v1::ENCODING_ROWS) return std::make_unique<RowsPushEncoder>(layout);
  if (wire == v1::ENCODING_SPARSE) return std::make_unique<SparsePushEncoder>(encoding, elements);
  return std::make_unique<DensePushEncoder>(wire, encoding.seed, elements);
}

}  // namespace gradd

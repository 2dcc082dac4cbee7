#include "client/dense_push_encoder.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "core/base/mix.h"
#include "core/codec/dense.h"
#include "core/codec/int8.h"
#include "core/store/block.h"

namespace gradd {

DensePushEncoder::DensePushEncoder(v1::Encoding encoding, uint64_t seed, int64_t elements)
    : encoding_(encoding), seed_(seed), elements_(elements) {
  if (encoding != v1::ENCODING_FLOAT32 && elements > kBlockElements) {
    thread_ = std::make_unique<ThreadPool>(1);
  }
}

DensePushEncoder::~DensePushEncoder() { Stop(); }

absl::Status DensePushEncoder::Begin(int64_t sequence, absl::Span<const float> gradient,
                                     std::shared_ptr<const void> owner) {
  Stop();
  push_seed_ = MixKey(seed_, static_cast<uint64_t>(sequence));
  gradient_ = gradient;
  owner_ = std::move(owner);
  return absl::OkStatus();
}

void DensePushEncoder::Rewind(int64_t max_chunk_bytes) {
  Stop();
  const int64_t most = std::min(max_chunk_bytes, kUsefulChunkBytes);
  if (encoding_ == v1::ENCODING_INT8) {
    chunk_elements_ = most / Int8Bytes(kInt8GroupElements) * kInt8GroupElements;
  } else {
    chunk_elements_ = most / DenseElementBytes(encoding_);
  }
  chunk_elements_ = std::min(chunk_elements_, kBlockElements);
  chunks_ = (elements_ + chunk_elements_ - 1) / chunk_elements_;
  buffers_.set_usual_bytes(BytesFor(std::min(chunk_elements_, elements_)));
  next_ = 0;
  saturated_ = 0;
  MutexLock lock(&mutex_);
  begun_ = 0;
}

Payload DensePushEncoder::Next(v1::ParameterChunk* chunk) {
  chunk->set_offset(next_ * chunk_elements_);
  chunk->set_encoding(encoding_);
  Payload data = thread_ == nullptr ? Encode(next_) : TakeNext();
  ++next_;
  return data;
}

Payload DensePushEncoder::TakeNext() {
  std::optional<Payload>* ready = nullptr;
  bool mine = false;
  {
    MutexLock lock(&mutex_);
    ready = &ready_[static_cast<size_t>(next_ % kMostAhead)];
    mine = begun_ == next_;
    if (mine) ++begun_;
    // Not for each chunk: to wake a thread takes as long as to encode some of one.
    if (!works_ && begun_ < chunks_ && begun_ - next_ <= kMostAhead / 2) {
      works_ = true;
      most_begun_ = std::min(next_ + kMostAhead, chunks_);
      thread_->Schedule([this] { EncodeAhead(); });
    }
  }
  if (mine) return Encode(next_);
  MutexLock lock(&mutex_);
  while (!ready->has_value()) changed_.Wait(&mutex_);
  return *std::exchange(*ready, std::nullopt);
}

void DensePushEncoder::EncodeAhead() {
  MutexLock lock(&mutex_);
  while (begun_ < most_begun_) {
    const int64_t chunk = begun_++;
    mutex_.Unlock();
    Payload data = Encode(chunk);
    mutex_.Lock();
    ready_[static_cast<size_t>(chunk % kMostAhead)] = std::move(data);
    changed_.NotifyAll();
  }
  works_ = false;
  changed_.NotifyAll();
}

void DensePushEncoder::Stop() {
  MutexLock lock(&mutex_);
  most_begun_ = 0;
  while (works_) changed_.Wait(&mutex_);
  for (std::optional<Payload>& data : ready_) data.reset();
}

void DensePushEncoder::Finish(bool /*applied*/) {
  Stop();
  owner_.reset();
}

Payload DensePushEncoder::Encode(int64_t chunk) {
  const int64_t begin = chunk * chunk_elements_;
  const int64_t count = std::min(chunk_elements_, elements_ - begin);
  const float* const values = gradient_.data() + begin;
  switch (encoding_) {
    case v1::ENCODING_FLOAT32: {
      const Payload::Slice slice(reinterpret_cast<const std::byte*>(values),
                                 static_cast<size_t>(count * kFloatBytes));
      return Payload({slice}, owner_);
    }
    case v1::ENCODING_INT8:
      return buffers_.Fill(BytesFor(count), [&](std::byte* out) {
        EncodeInt8(values, count, push_seed_, begin, out);
      });
    default:
      return buffers_.Fill(BytesFor(count), [&](std::byte* out) {
        saturated_ += EncodeDense(encoding_, values, count, out);
      });
  }
}

int64_t DensePushEncoder::BytesFor(int64_t elements) const {
  return encoding_ == v1::ENCODING_INT8 ? Int8Bytes(elements)
                                        : elements * DenseElementBytes(encoding_);
}

}  // namespace gradd

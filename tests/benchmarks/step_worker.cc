#include "tests/benchmarks/step_worker.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_replace.h"
#include "tests/benchmarks/figure.h"

namespace gradd {
namespace {

using PushKind = PushEncoding::Kind;

const StepVariant kVariants[] = {
    {"tcp_step", "tcp_step_over_stream", "stream", [](SessionOptions*) {}, 4, 4},
    {"shm_step", "shm_step_over_tcp_step", "tcp_step",
     [](SessionOptions* options) { options->shared_memory = true; }},
    {"bf16_step", "bf16_step_over_f32_step", "tcp_step",
     [](SessionOptions* options) {
       options->push_encoding.kind = PushKind::kBfloat16;
       options->parameter_encodings = {v1::ENCODING_BFLOAT16};
     },
     2, 2},
    {"int8_step", "int8_step_over_f32_step", "tcp_step",
     [](SessionOptions* options) {
       options->push_encoding.kind = PushKind::kInt8;
       options->parameter_encodings = {v1::ENCODING_BFLOAT16};
     },
     1, 2},
    {"topk_step", nullptr, nullptr,
     [](SessionOptions* options) { options->push_encoding.kind = PushKind::kTopK; }},
};

}  // namespace

std::string StepVariant::run() const { return absl::StrReplaceAll(name, {{"_", "-"}}); }

absl::Span<const StepVariant> StepVariants() { return kVariants; }

std::vector<float> Gradient(int64_t elements) {
  std::vector<float> gradient(static_cast<size_t>(elements));
  uint32_t random = 1;
  for (float& value : gradient) {
    random = random * 1664525 + 1013904223;
    value = (static_cast<float>(random >> 8) / static_cast<float>(1 << 24) - 0.5f) * 1e-2f;
  }
  return gradient;
}

SessionOptions WorkerOptions(const GraddProcess& server, const std::string& run,
                             const std::string& worker) {
  SessionOptions options;
  options.server = server.address();
  options.run = run;
  options.worker = worker;
  return options;
}

StepWorker::StepWorker(SessionOptions options, absl::Span<const float> gradient)
    : session_(Must(Session::Open(std::move(options)))), gradient_(gradient) {
  const absl::Span<float> own = session_->gradient();
  if (own.empty()) {
    parameters_.resize(gradient.size());
  } else {
    std::copy(gradient.begin(), gradient.end(), own.begin());
  }
}

void StepWorker::Begin() {
  report_ = parameters_.empty()
                ? session_->Push({base_, 1, 0})
                : session_->Push({base_, 1, 0}, gradient_, absl::MakeSpan(parameters_));
}

void StepWorker::End() {
  const PushReport report = Must(report_.get());
  if (report.outcome != v1::PUSH_OUTCOME_APPLIED) Fail("a push was not applied");
  base_ = report.step;
  constexpr size_t kPageElements = 1024;
  const absl::Span<const float> own = session_->parameters();
  for (size_t at = 0; at < own.size(); at += kPageElements) read_ += own[at];
}

void StepWorker::Pull() { Must(session_->Pull(absl::MakeSpan(parameters_))); }

}  // namespace gradd

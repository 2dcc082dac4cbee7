#include "tests/benchmarks/light_workers.h"

#include <grpcpp/create_channel.h>

#include "absl/strings/str_cat.h"
#include "tests/benchmarks/figure.h"
#include "transport/payload_message.h"

namespace gradd {
namespace {

grpc::ByteBuffer JoinRequest(const std::string& run, int worker) {
  v1::TrainRequest request;
  request.mutable_join()->set_run(absl::StrCat("runs/", run));
  request.mutable_join()->set_worker(absl::StrCat("w", worker));
  return SerializeTrainRequest(request, Payload());
}

}  // namespace

LightWorkers::LightWorkers(const std::string& address, const std::string& run, int count,
                           int64_t elements)
    : elements_(elements), gradient_(static_cast<size_t>(elements), 1e-3f) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  for (int i = 0; i < count; ++i) {
    workers_.push_back(std::make_unique<Worker>());
    Worker& worker = *workers_.back();
    worker.channel =
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
    worker.call = grpc::GenericStub(worker.channel)
                      .PrepareCall(&worker.context, "/gradd.v1.TrainingService/Train", &queue_);
    worker.call->StartCall(&worker.start);
    // Started and joined one by one: a listener's backlog is shorter than the crowd.
    awaited_ = 1;
    while (awaited_ > 0) HandleNext();
    worker.call->Read(&worker.incoming, &worker.read);
    worker.call->Write(JoinRequest(run, i), &worker.write);
    awaited_ = 2;
    while (awaited_ > 0) HandleNext();
  }
}

LightWorkers::~LightWorkers() {
  for (const auto& worker : workers_) worker->context.TryCancel();
  // The reads that are always under way fail; until then they use what is here.
  for (size_t left = workers_.size(); left > 0; --left) {
    void* tag = nullptr;
    bool ok = false;
    queue_.Next(&tag, &ok);
  }
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
  }
}

void LightWorkers::HandleNext() {
  void* next = nullptr;
  bool ok = false;
  if (!queue_.Next(&next, &ok) || !ok) Fail("a light worker's stream broke");
  const Tag& tag = *static_cast<Tag*>(next);
  if (tag.operation != Operation::kRead) {
    --awaited_;
    return;
  }
  Worker& worker = *tag.worker;
  v1::TrainResponse response;
  Payload data;
  if (!ParseTrainResponse(worker.incoming, &response, &data).ok()) Fail("no response");
  worker.incoming.Clear();
  if (response.push_result().outcome() == v1::PUSH_OUTCOME_REJECTED) {
    Fail(response.push_result().message());
  }
  if (response.has_welcome() || response.has_parameters()) --awaited_;
  worker.call->Read(&worker.incoming, &worker.read);
}

void LightWorkers::Step() {
  v1::TrainRequest request;
  v1::Push& push = *request.mutable_push();
  push.mutable_header()->set_sequence(steps_ + 1);
  push.mutable_header()->set_base_step(steps_);
  push.mutable_header()->set_examples(1);
  push.mutable_chunk()->set_offset(0);
  push.mutable_commit()->set_want_parameters(true);
  const Payload::Slice slice(reinterpret_cast<const std::byte*>(gradient_.data()),
                             gradient_.size() * sizeof(float));
  const grpc::ByteBuffer bytes = SerializeTrainRequest(request, Payload({slice}, nullptr));
  awaited_ = 2 * static_cast<int64_t>(workers_.size());  // Written, and the parameters are here.
  for (const auto& worker : workers_) worker->call->Write(bytes, &worker->write);
  while (awaited_ > 0) HandleNext();
  ++steps_;
}

}  // namespace gradd

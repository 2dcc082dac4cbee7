#include "ctl/client.h"

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/backoff.h"
#include "client/channel.h"
#include "core/base/error.h"
#include "ctl/report.h"
#include "ctl/run_name.h"
#include "ctl/status.h"

namespace gradd::ctl {
namespace {

constexpr char kReasonKey[] = "gradd-reason";
constexpr int kOnce = 1;
constexpr int kAttempts = 3;
constexpr absl::Duration kInitialBackoff = absl::Milliseconds(100);
constexpr absl::Duration kMaximumBackoff = absl::Seconds(5);

// The end of what gRPC says, which is what happened: `Connection refused`.
absl::string_view Cause(absl::string_view message) {
  const size_t colon = message.rfind(": ");
  return colon == absl::string_view::npos ? message : message.substr(colon + 2);
}

}  // namespace

Client::Client(std::string address, absl::Duration timeout, Console* console)
    : address_(std::move(address)), timeout_(timeout), console_(console) {}

absl::Status Client::Connect() {
  if (runs_ != nullptr && !lost_) return absl::OkStatus();
  // A new channel: gRPC does not try a broken one again before a back-off of its own has passed.
  const absl::StatusOr<std::shared_ptr<grpc::Channel>> channel = MakeChannel(address_);
  if (!channel.ok()) return UsageError(absl::StrCat("--server: ", channel.status().message()));
  runs_ = v1::RunService::NewStub(*channel);
  channel_ = *channel;
  lost_ = false;
  return absl::OkStatus();
}

absl::Status Client::ToStatus(const grpc::Status& status, const grpc::ClientContext& context,
                              absl::Duration timeout) {
  if (status.ok()) return absl::OkStatus();
  if (console_->interrupt.triggered()) return InterruptedError();
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  const auto reason = trailers.find(kReasonKey);
  lost_ = code == absl::StatusCode::kUnavailable;
  if (reason != trailers.end()) {
    return FromGrpcStatus(status, std::string(reason->second.data(), reason->second.size()));
  }
  // What has no reason does not come from gradd, but from the way there.
  switch (code) {
    case absl::StatusCode::kUnavailable:
      return Error(
          code, "UNREACHABLE",
          absl::StrCat("cannot reach gradd at ", address_, ": ", Cause(status.error_message())));
    case absl::StatusCode::kDeadlineExceeded:
      return Error(code, "TIMEOUT",
                   absl::StrCat("no answer from gradd at ", address_, " within ",
                                absl::FormatDuration(timeout)));
    case absl::StatusCode::kUnimplemented:
      return absl::Status(code, absl::StrCat("the server at ", address_,
                                             " does not speak gradd.v1: ", status.error_message()));
    default:
      return FromGrpcStatus(status, "");
  }
}

bool Client::IsUnderWay(const absl::Status& status, bool creates) {
  const std::string reason = ReasonOf(status);
  if (reason == "RUN_BEING_CREATED") return true;
  // A run of that name has to be gone first, or it is not known yet whether there is one. Whoever
  // only asks for it is told.
  return creates && (reason == "RUN_BEING_DELETED" || reason == "RUN_RECOVERING");
}

template <typename Request, typename Response>
absl::StatusOr<Response> Client::Call(Method<Request, Response> method, const Request& request,
                                      int attempts) {
  const absl::Time deadline = absl::Now() + timeout_;
  Backoff backoff(kInitialBackoff, kMaximumBackoff, std::random_device{}());
  while (true) {
    GRADD_RETURN_IF_ERROR(Connect());
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(deadline));
    Response response;
    absl::Status status;
    {
      const Interrupt::Scope scope(&console_->interrupt, [&context] { context.TryCancel(); });
      status = ToStatus((runs_.get()->*method)(&context, request, &response), context, timeout_);
    }
    if (status.ok()) return response;
    constexpr bool kCreates = std::is_same_v<Request, v1::CreateRunRequest>;
    if (!IsUnderWay(status, kCreates) && --attempts <= 0) return status;
    if (status.code() != absl::StatusCode::kUnavailable) return status;
    if (console_->wait(backoff.Next())) return InterruptedError();
    if (absl::Now() >= deadline) return status;
  }
}

absl::StatusOr<v1::Run> Client::Create(const v1::CreateRunRequest& request) {
  return Call(&v1::RunService::Stub::CreateRun, request, kAttempts);
}

absl::StatusOr<v1::Run> Client::Get(const std::string& name) {
  v1::GetRunRequest request;
  request.set_name(name);
  return Call(&v1::RunService::Stub::GetRun, request, kAttempts);
}

absl::StatusOr<v1::Run> Client::GetOnce(const std::string& name) {
  v1::GetRunRequest request;
  request.set_name(name);
  return Call(&v1::RunService::Stub::GetRun, request, kOnce);
}

absl::StatusOr<v1::ListRunsResponse> Client::List(const RunLabels& labels) {
  v1::ListRunsResponse all;
  v1::ListRunsRequest request;
  *request.mutable_labels() = labels;
  do {
    absl::StatusOr<v1::ListRunsResponse> page =
        Call(&v1::RunService::Stub::ListRuns, request, kAttempts);
    if (!page.ok()) return page.status();
    request.set_page_token(page->next_page_token());
    all.clear_lost_runs();  // Every page has them.
    all.MergeFrom(*page);
  } while (!request.page_token().empty());
  all.clear_next_page_token();
  return all;
}

absl::StatusOr<std::vector<std::string>> Client::NamesOf(const std::vector<std::string>& runs,
                                                         const RunLabels& labels) {
  std::vector<std::string> names;
  for (const std::string& run : runs) {
    const std::string name = RunName(run);
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  if (labels.empty()) return names;
  const absl::StatusOr<v1::ListRunsResponse> found = List(labels);
  if (!found.ok()) return found.status();
  for (const v1::Run& run : found->runs()) names.push_back(run.name());
  if (!names.empty()) return names;
  return Error(absl::StatusCode::kNotFound, "RUN_NOT_FOUND",
               absl::StrCat("no run has the label ", LabelsText(labels)));
}

absl::StatusOr<v1::History> Client::GetHistory(const v1::GetHistoryRequest& request) {
  return Call(&v1::RunService::Stub::GetHistory, request, kAttempts);
}

absl::StatusOr<v1::Run> Client::Update(const v1::UpdateRunRequest& request) {
  return Call(&v1::RunService::Stub::UpdateRun, request, kAttempts);
}

absl::StatusOr<v1::Run> Client::Pause(const v1::PauseRunRequest& request) {
  return Call(&v1::RunService::Stub::PauseRun, request, kAttempts);
}

absl::StatusOr<v1::Run> Client::Finish(const v1::FinishRunRequest& request) {
  return Call(&v1::RunService::Stub::FinishRun, request, kAttempts);
}

absl::StatusOr<v1::Run> Client::Resume(const v1::ResumeRunRequest& request) {
  return Call(&v1::RunService::Stub::ResumeRun, request, kAttempts);
}

absl::StatusOr<v1::Checkpoint> Client::Checkpoint(const v1::CheckpointRunRequest& request) {
  return Call(&v1::RunService::Stub::CheckpointRun, request, kAttempts);
}

absl::StatusOr<v1::ListCheckpointsResponse> Client::ListCheckpoints(const std::string& name) {
  v1::ListCheckpointsRequest request;
  request.set_name(name);
  return Call(&v1::RunService::Stub::ListCheckpoints, request, kAttempts);
}

absl::StatusOr<v1::RestoreRunResponse> Client::Restore(const v1::RestoreRunRequest& request) {
  return Call(&v1::RunService::Stub::RestoreRun, request, kAttempts);
}

absl::StatusOr<v1::Run> Client::Fork(const v1::ForkRunRequest& request) {
  return Call(&v1::RunService::Stub::ForkRun, request, kAttempts);
}

absl::StatusOr<v1::DiffRunResponse> Client::Diff(const v1::DiffRunRequest& request) {
  return Call(&v1::RunService::Stub::DiffRun, request, kAttempts);
}

absl::Status Client::Delete(const std::string& name) {
  v1::DeleteRunRequest request;
  request.set_name(name);
  return Call(&v1::RunService::Stub::DeleteRun, request, kOnce).status();
}

template <typename Response>
absl::Status Client::Read(grpc::ClientReader<Response>* reader, grpc::ClientContext* context,
                          const std::function<bool(const Response&)>& more) {
  Response response;
  while (reader->Read(&response)) {
    if (more(response)) continue;
    context->TryCancel();
    reader->Finish();
    return absl::OkStatus();
  }
  return ToStatus(reader->Finish(), *context, absl::InfiniteDuration());
}

absl::Status Client::Watch(const v1::WatchRunRequest& request,
                           const std::function<bool(const v1::RunProgress&)>& more) {
  GRADD_RETURN_IF_ERROR(Connect());
  grpc::ClientContext context;
  const Interrupt::Scope scope(&console_->interrupt, [&context] { context.TryCancel(); });
  const auto reader = runs_->WatchRun(&context, request);
  return Read(reader.get(), &context, more);
}

void Client::WaitUntilGone(const std::string& held, const std::set<std::string>& trials) {
  constexpr absl::Duration kLongest = absl::Seconds(2);
  constexpr absl::Duration kInterval = absl::Milliseconds(20);
  const absl::Time deadline = absl::Now() + kLongest;
  bool any = true;
  while (any && absl::Now() < deadline) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(deadline));
    v1::ListRunsRequest list;
    list.set_page_size(1000);
    v1::ListRunsResponse response;
    if (!runs_->ListRuns(&context, list, &response).ok()) return;
    any = std::any_of(response.runs().begin(), response.runs().end(), [&](const v1::Run& run) {
      return trials.count(run.name()) > 0 ||
             (run.name() == held && run.state() == v1::RUN_STATE_HELD);
    });
    if (any) absl::SleepFor(kInterval);
  }
}

absl::Status Client::RunTrials(const v1::RunTrialsRequest& request,
                               const std::function<bool(const v1::RunTrialsResponse&)>& more) {
  constexpr int kAttemptsWhileHeld = 20;
  constexpr int kAttemptsWithoutWorkers = 50;  // One that was just started reads its data first.
  for (int attempt = 1; true; ++attempt) {
    GRADD_RETURN_IF_ERROR(Connect());
    absl::Status status;
    {
      grpc::ClientContext context;
      const Interrupt::Scope scope(&console_->interrupt, [&context] { context.TryCancel(); });
      const auto reader = runs_->RunTrials(&context, request);
      bool ended = false;  // By this side.
      std::set<std::string> trials;
      const std::function<bool(const v1::RunTrialsResponse&)> take = [&](const auto& response) {
        trials.insert(response.names().begin(), response.names().end());
        ended = !more(response);
        return !ended;
      };
      status = Read(reader.get(), &context, take);
      if (ended || console_->interrupt.triggered()) WaitUntilGone(request.name(), trials);
    }
    const std::string reason = ReasonOf(status);
    const int attempts = reason == "TRIALS_GOING_ON" ? kAttemptsWhileHeld
                         : reason == "NO_WORKERS"    ? kAttemptsWithoutWorkers
                                                     : 1;
    if (attempt >= attempts) return status;
    if (console_->wait(kInitialBackoff)) return InterruptedError();
  }
}

absl::Status Client::Pull(const v1::PullRequest& request, absl::Duration timeout,
                          const TakeChunk& take) {
  GRADD_RETURN_IF_ERROR(Connect());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  const Interrupt::Scope scope(&console_->interrupt, [&context] { context.TryCancel(); });
  absl::Status taken;
  const grpc::Status status = PullChunks(channel_, request, &context, take, &taken);
  GRADD_RETURN_IF_ERROR(taken);
  return ToStatus(status, context, timeout);
}

absl::Status Client::Export(const v1::ExportRunRequest& request, absl::Duration timeout,
                            const std::function<absl::Status(const v1::ExportRunResponse&)>& take) {
  GRADD_RETURN_IF_ERROR(Connect());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  const Interrupt::Scope scope(&console_->interrupt, [&context] { context.TryCancel(); });
  const auto reader = runs_->ExportRun(&context, request);
  absl::Status taken;
  v1::ExportRunResponse response;
  while (taken.ok() && reader->Read(&response)) taken = take(response);
  if (!taken.ok()) context.TryCancel();
  const grpc::Status status = reader->Finish();
  GRADD_RETURN_IF_ERROR(taken);
  return ToStatus(status, context, timeout);
}

absl::StatusOr<v1::Run> Client::SendOnce(const v1::ImportBegin& begin, const ReadableFile& file,
                                         absl::Time deadline, absl::Duration timeout,
                                         const std::function<void(int64_t)>& sent) {
  constexpr int64_t kPieceBytes = int64_t{512} << 10;
  GRADD_RETURN_IF_ERROR(Connect());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(deadline));
  const Interrupt::Scope scope(&console_->interrupt, [&context] { context.TryCancel(); });
  v1::Run run;
  const auto writer = runs_->ImportRun(&context, &run);
  v1::ImportRunRequest request;
  *request.mutable_begin() = begin;
  bool takes = writer->Write(request);
  absl::Status read;
  for (int64_t at = 0; takes && at < file.size();) {
    const int64_t bytes = std::min(kPieceBytes, file.size() - at);
    std::string& data = *request.mutable_data();
    data.resize(static_cast<size_t>(bytes));
    read = file.Read(at, bytes, data.data());
    if (!read.ok()) break;
    // It waits for the server, which may have said already why it takes no more.
    takes = writer->Write(request);
    at += bytes;
    if (takes) sent(at);
  }
  if (!read.ok()) context.TryCancel();
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  if (!read.ok()) return FileError(read.message());
  GRADD_RETURN_IF_ERROR(ToStatus(status, context, timeout));
  return run;
}

absl::StatusOr<v1::Run> Client::Import(const v1::ImportBegin& begin, const ReadableFile& file,
                                       absl::Duration timeout,
                                       const std::function<void(int64_t)>& sent) {
  const absl::Time deadline = absl::Now() + timeout;
  Backoff backoff(kInitialBackoff, kMaximumBackoff, std::random_device{}());
  for (int attempt = 1; true;) {
    auto run = SendOnce(begin, file, deadline, timeout, sent);
    if (run.status().code() != absl::StatusCode::kUnavailable) return run;
    if (!IsUnderWay(run.status(), /*creates=*/true) && ++attempt > kAttempts) return run;
    if (console_->wait(backoff.Next())) return InterruptedError();
    if (absl::Now() >= deadline) return run;
  }
}

}  // namespace gradd::ctl

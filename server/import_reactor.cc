#include "server/import_reactor.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/run/run_log.h"
#include "server/address.h"
#include "server/status.h"

namespace gradd {
namespace {

absl::Status Malformed(absl::string_view what) {
  return InvalidArgument("REQUEST_MALFORMED", what);
}

}  // namespace

ImportReactor::ImportReactor(const Transfers& transfers, grpc::CallbackServerContext* context,
                             v1::Run* response)
    : transfers_(transfers),
      context_(context),
      response_(response),
      watched_(transfers.watch->Add([context] { context->TryCancel(); })),
      link_(std::make_shared<Link>(this)) {
  watched_->Stop();
  link_->Use([this](ImportReactor*) {
    auto ticket = transfers_.registry->callers().imports.Take(CallerOf(context_->peer()));
    if (!ticket.ok()) return End(ticket.status());
    ticket_ = *std::move(ticket);
    Read();
  });
}

void ImportReactor::Read() {
  watched_->Renew();
  StartRead(&message_);
}

void ImportReactor::OnReadDone(bool ok) {
  watched_->Stop();
  link_->UseOn(transfers_.io.get(), [ok](ImportReactor* self) {
    if (self->cancelled_.load()) return self->End(absl::CancelledError());
    if (!ok) return self->Complete();
    if (const absl::Status taken = self->Take(); !taken.ok()) return self->End(taken);
    if (!self->awaits_) self->Read();
  });
}

absl::Status ImportReactor::Take() {
  if (import_ != nullptr) {
    if (message_.has_begin()) return Malformed("a second request with begin; data expected");
    return import_->Add(message_.data());
  }
  if (!message_.has_begin()) return Malformed("the first request has no begin");
  const DurableRuns* const runs = transfers_.runs;
  auto import = RunImport::Begin(transfers_.registry,
                                 runs == nullptr ? nullptr : &runs->directory(), message_.begin());
  GRADD_RETURN_IF_ERROR(import.status());
  import_ = *std::move(import);
  if (import_->existing() != nullptr) Answer(import_->existing(), /*is_new=*/false);
  return absl::OkStatus();
}

void ImportReactor::Complete() {
  if (import_ == nullptr) return End(Malformed("the stream has no request with begin"));
  // On the pool's threads, as every creation, and without the link: it takes long. The file and its
  // memory go before the answer: whoever hears it may begin again.
  transfers_.registry->pool()->Schedule(
      [link = link_, io = transfers_.io,
       import = std::shared_ptr<RunImport>(std::move(import_))]() mutable {
        const auto run = import->Complete();
        io->Schedule([link = std::move(link), import = std::move(import), run]() mutable {
          import.reset();
          link->Use([run](ImportReactor* self) {
            if (!run.ok()) return self->End(run.status());
            self->Answer(*run, /*is_new=*/true);
          });
        });
      });
}

void ImportReactor::Answer(const std::shared_ptr<Run>& run, bool is_new) {
  awaits_ = true;
  run->WhenDurable([link = link_, io = transfers_.io, registry = transfers_.registry, run,
                    is_new](const absl::Status& durable) {
    if (!durable.ok() && is_new) registry->Remove(run.get());
    link->UseOn(io.get(), [run, is_new, durable](ImportReactor* self) {
      self->awaits_ = false;
      *self->response_ = run->Describe(Run::Detail::kFull);
      if (durable.ok() && is_new) {
        spdlog::info("{}",
                     LogLine("run imported",
                             {{"run", run->run_id()},
                              {"by", self->context_->peer()},
                              {"parameters", absl::StrCat(self->response_->parameter_count())}}));
      }
      self->End(durable);
    });
  });
}

void ImportReactor::End(const absl::Status& status) {
  if (finished_) return;
  finished_ = true;
  watched_->Stop();
  import_.reset();
  ticket_ = CallerShares::Ticket();  // Whoever hears of the end may begin again.
  Finish(ToGrpcStatus(status, context_));
}

void ImportReactor::OnCancel() {
  cancelled_.store(true);
  link_->UseOn(transfers_.io.get(), [](ImportReactor* self) {
    if (self->awaits_) self->End(absl::CancelledError());
  });
}

void ImportReactor::OnDone() {
  link_->End();
  delete this;
}

}  // namespace gradd

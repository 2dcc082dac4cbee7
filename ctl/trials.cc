#include "ctl/trials.h"

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "ctl/run_name.h"

namespace gradd::ctl {
namespace {

// The server knows of no programs; people need one.
absl::Status WithAdvice(const absl::Status& status, const std::string& run) {
  const std::string reason = ReasonOf(status);
  if (reason != "NO_WORKERS" && reason != "TRIALS_IDLE") return status;
  return Error(status.code(), reason,
               absl::StrCat(status.message(),
                            "\nstart one, with the run's model and data: gradworker "
                            "--run ",
                            RunId(run), " --model MODEL --data DATA"));
}

}  // namespace

absl::Status RecordTrials(Client* client, const v1::RunTrialsRequest& request,
                          std::vector<TrialRecord>* records, const std::function<bool()>& more) {
  records->assign(static_cast<size_t>(request.trials_size()), TrialRecord());
  const auto take = [&](const v1::RunTrialsResponse& response) {
    for (const v1::TrialNews& news : response.news()) {
      if (news.trial() < 0 || news.trial() >= request.trials_size()) continue;
      TrialRecord& record = (*records)[static_cast<size_t>(news.trial())];
      record.steps.insert(record.steps.end(), news.steps().begin(), news.steps().end());
      record.state = news.state();
      record.message = news.message();
    }
    return more == nullptr || more();
  };
  return WithAdvice(client->RunTrials(request, take), request.name());
}

}  // namespace gradd::ctl

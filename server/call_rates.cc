#include "server/call_rates.h"

#include <iterator>

namespace gradd {

std::shared_ptr<CallRate> CallRates::Of(const std::string& host, absl::Duration now) {
  std::shared_ptr<CallRate>& rate = rates_[host];
  if (rate != nullptr) return rate;
  std::shared_ptr<CallRate> made = std::make_shared<CallRate>();
  rate = made;
  if (rates_.size() > kRemembered) {
    for (auto it = rates_.begin(); it != rates_.end();) {
      const bool forget = it->second.use_count() == 1 && it->second->IsUnused(now);
      it = forget ? rates_.erase(it) : std::next(it);
    }
  }
  return made;
}

}  // namespace gradd

#include "ctl/weight_decay_text.h"

#include <functional>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/optim/weight_decay_defaults.h"
#include "ctl/fields.h"

namespace gradd::ctl {
namespace {

// The methods of which `holds`, as people write them.
std::vector<std::string> MethodsWhere(
    const std::function<bool(const WeightDecayDefaults&)>& holds) {
  const auto& kinds = *v1::Optimizer::descriptor()->oneof_decl(0);
  std::vector<std::string> methods;
  for (int i = 0; i < kinds.field_count(); ++i) {
    const auto kind = static_cast<v1::Optimizer::KindCase>(kinds.field(i)->number());
    if (holds(WeightDecayDefaultsOf(kind))) methods.push_back(KindName(kinds.field(i)->name()));
  }
  return methods;
}

std::string ModeText(v1::WeightDecayMode mode) {
  return EnumText(*v1::WeightDecayMode_descriptor()->FindValueByNumber(mode));
}

}  // namespace

std::string WeightDecayHelp() {
  std::map<double, std::vector<std::string>> amounts;
  MethodsWhere([&](const WeightDecayDefaults& defaults) {
    if (defaults.amount > 0) amounts[defaults.amount];
    return false;
  });
  std::string text = "Pull towards zero [";
  for (const auto& entry : amounts) {
    const double amount = entry.first;
    absl::StrAppendFormat(&text, "%g with %s; ", amount,
                          absl::StrJoin(MethodsWhere([amount](const WeightDecayDefaults& defaults) {
                                          return defaults.amount == amount;
                                        }),
                                        ", "));
  }
  return absl::StrCat(text, amounts.empty() ? "0]" : "0 with the others]");
}

std::string WeightDecayModeHelp() {
  const auto join = [](const std::function<bool(const WeightDecayDefaults&)>& holds) {
    return absl::StrJoin(MethodsWhere(holds), ", ");
  };
  return absl::StrCat(
      "How weight decay acts [as the method's paper means it: decoupled with ",
      join([](const auto& defaults) { return defaults.mode == v1::WEIGHT_DECAY_MODE_DECOUPLED; }),
      "; coupled with the others]. Decoupled alone: ",
      join([](const auto& defaults) { return !defaults.can_couple; }),
      "; coupled alone: ", join([](const auto& defaults) { return !defaults.can_decouple; }));
}

std::string WeightDecayText(const v1::Optimizer& optimizer) {
  const WeightDecayDefaults defaults = WeightDecayDefaultsOf(optimizer.kind_case());
  const double amount = optimizer.has_weight_decay() ? optimizer.weight_decay() : defaults.amount;
  if (amount == 0) return "";
  const bool own = optimizer.weight_decay_mode() == v1::WEIGHT_DECAY_MODE_UNSPECIFIED;
  return absl::StrFormat("%.9g, %s", amount,
                         ModeText(own ? defaults.mode : optimizer.weight_decay_mode()));
}

}  // namespace gradd::ctl

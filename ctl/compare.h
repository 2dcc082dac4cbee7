#ifndef GRADD_CTL_COMPARE_H_
#define GRADD_CTL_COMPARE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ctl/client.h"
#include "ctl/command_line.h"
#include "ctl/console.h"
#include "gradd/v1/run.pb.h"

namespace gradd::ctl {

// `gradctl compare`: runs beside each other, the one with the lowest smoothed loss first.
absl::Status Compare(const CommandLine& line, Client* client, Console* console);

// Sorts them so; those without a loss, or with one that is no number, come last.
void SortByLoss(std::vector<v1::Run>* runs);
// In at most `width` columns, where that can be had; 0: all of it.
std::string ComparisonTable(const std::vector<v1::Run>& runs, int width);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_COMPARE_H_

#ifndef GRADD_CTL_HISTORY_PICTURE_H_
#define GRADD_CTL_HISTORY_PICTURE_H_

#include <string>
#include <vector>

#include "ctl/history_table.h"

namespace gradd::ctl {

// Loss and learning rate of all runs by step, a colour for each run: the smoothed loss, behind it
// that of the steps, and evaluations as dots. The loss is on a logarithmic axis where all losses
// are positive.
std::string HistorySvg(const std::vector<NamedHistory>& runs);

// The smoothed losses in a terminal of `width` columns; 0: it is none.
std::string HistoryInTerminal(const std::vector<NamedHistory>& runs, int width);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_HISTORY_PICTURE_H_

#ifndef GRADD_CTL_HISTORY_TABLE_H_
#define GRADD_CTL_HISTORY_TABLE_H_

#include <string>
#include <vector>

#include "gradd/v1/history.pb.h"

namespace gradd::ctl {

// A run and how it went.
struct NamedHistory {
  std::string run;  // Its id.
  v1::History history;
};

// All runs as one table of comma-separated values (RFC 4180): a row with the names of the columns;
// then, run by run and in the order of time, a row for each step and one for each evaluation, in
// which the columns of the other kind are empty. Numbers are the shortest that read back the same.
std::string HistoryTable(const std::vector<NamedHistory>& runs);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_HISTORY_TABLE_H_

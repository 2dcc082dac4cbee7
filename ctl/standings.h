#ifndef GRADD_CTL_STANDINGS_H_
#define GRADD_CTL_STANDINGS_H_

#include <string>
#include <vector>

#include "ctl/chart.h"
#include "ctl/trials.h"

namespace gradd::ctl {

// One entry of a race.
struct Racer {
  std::string name;
  double rate = 0;
  bool rate_was_found = false;   // By a sweep, instead of being given;
  bool rate_is_a_guess = false;  // one whose sweep did not tell much.
  bool rate_is_own = false;      // Nor given nor found, see OwnRate().
  TrialRecord record;
};

// In the order of their places: by the smoothed loss of the last step; those that diverged or
// failed come last, the longer they lasted the earlier. Who ends far above where it
// began has diverged, too.
std::vector<const Racer*> Standings(const std::vector<Racer>& racers);

// What people read.
std::string StandingsTable(const std::vector<Racer>& racers);
// The same in one line, for a log.
std::string StandingsLine(const std::vector<Racer>& racers);

// What programs read: all steps of all racers, and the standings with them.
std::string StandingsCsv(const std::vector<Racer>& racers);
std::string StandingsJson(const std::string& run_name, const std::vector<Racer>& racers);

// The loss by step, and by time.
std::vector<Chart> RaceCharts(const std::string& run, const std::vector<Racer>& racers);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_STANDINGS_H_

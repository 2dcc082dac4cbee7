#ifndef GRADD_CTL_COMMAND_LINE_H_
#define GRADD_CTL_COMMAND_LINE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/run/run_labels.h"
#include "ctl/requests.h"
#include "ctl/sweep.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd::ctl {

enum class Command {
  kText,  // Nothing to do but to print CommandLine::text: --help, --version.
  kCreate,
  kList,
  kShow,
  kWatch,
  kSet,
  kPause,
  kResume,
  kFinish,
  kDelete,
  kCheckpoint,
  kCheckpoints,
  kRestore,
  kFork,
  kDiff,
  kVerify,
  kPull,
  kExport,
  kImport,
  kLrFind,
  kRace,
  kLandscape,
  kHistory,
  kCompare,
};

// What gradctl was asked to do. Files are not read yet.
struct CommandLine {
  Command command = Command::kText;
  std::string text;

  std::string server;
  bool json = false;
  absl::Duration timeout;

  std::string run;                // All commands for one run; empty where `labels` says which.
  std::vector<std::string> runs;  // history, compare; the same.
  RunLabels labels;               // create: the new run's. Others: of the runs that are meant.
  std::vector<std::string> label_texts;  // The same as they were written.
  std::string author;                    // set, pause, resume, finish, restore, fork.
  std::string reason;                    // finish.

  // create: either `spec` alone, or `layout` and `new_run`. `-` is standard input. With `from`, a
  // layout is not needed.
  std::string spec;
  std::string layout;
  NewRun new_run;
  std::string from;         // create, import: a file of weights.
  bool with_state = false;  // import.

  bool if_absent = false;  // create.

  std::vector<Assignment> changes;  // set, fork.

  // restore, fork, diff: a checkpoint; timeline 0: that of the run's own past. diff: and another
  // one. history: those of that timeline; 0: of all.
  int64_t step = 0;
  uint64_t timeline = 0;
  int64_t other_step = 0;
  uint64_t other_timeline = 0;
  std::string new_run_id;  // fork.
  std::string directory;   // verify.

  // watch.
  absl::Duration interval;
  absl::Duration reconnect;

  // pull.
  std::string output;
  v1::ParameterView view = v1::PARAMETER_VIEW_EVALUATION;

  // export.
  std::string file;
  bool parameters_only = false;
  std::optional<int64_t> export_step;  // Unset: the present one. Its timeline: `timeline`.
  v1::Encoding encoding = v1::ENCODING_FLOAT32;

  // history. 0: all there is.
  int32_t max_points = 0;
  int64_t first_step = 0;

  // lr-find, race, landscape, history. Files that are not wanted are empty; of history, `-` is
  // standard output.
  std::string svg;
  std::string csv;
  SweepRange sweep;                  // lr-find, race.
  absl::Duration idle_timeout;       // lr-find, race.
  std::vector<std::string> entries;  // race, landscape.
  int64_t race_steps = 500;

  // landscape.
  std::string landscape;
  std::string start;  // Empty: the landscape's own.
  double gradient_noise = 0;
  uint64_t seed = 0;
  int64_t walk_steps = 200;
};

// Understands `args` (without the program's name) and the environment variables of the options
// that commands share. `user` is the default author. Errors are usage errors.
absl::StatusOr<CommandLine> ParseCommandLine(std::vector<std::string> args,
                                             const std::string& user);

// Whether errors are to be JSON; also answers for command lines that cannot be parsed.
bool WantsJson(const std::vector<std::string>& args);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_COMMAND_LINE_H_

#include "ctl/gnuplot.h"

#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "ctl/status.h"

namespace gradd::ctl {
namespace {

// A file without a name: unlike a pipe, neither side ever waits for the other.
class MemoryFile {
 public:
  explicit MemoryFile(const char* name) : descriptor_(memfd_create(name, MFD_CLOEXEC)) {}
  ~MemoryFile() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  int descriptor() const { return descriptor_; }

  bool Fill(absl::string_view text) const {
    while (!text.empty()) {
      const ssize_t written = write(descriptor_, text.data(), text.size());
      if (written < 0) return false;
      text.remove_prefix(static_cast<size_t>(written));
    }
    return lseek(descriptor_, 0, SEEK_SET) == 0;
  }
  std::string Contents() const {
    std::string text;
    char part[1 << 16];
    lseek(descriptor_, 0, SEEK_SET);
    ssize_t count = 0;
    while ((count = read(descriptor_, part, sizeof(part))) > 0) {
      text.append(part, static_cast<size_t>(count));
    }
    return text;
  }

 private:
  const int descriptor_;
};

absl::Status NotThere(int error) {
  if (error == ENOENT) {
    return FileError("pictures are drawn by gnuplot, which is not installed (Debian: gnuplot-nox)");
  }
  return FileError(absl::StrCat("cannot run gnuplot: ", std::strerror(error)));
}

}  // namespace

absl::StatusOr<std::string> RunGnuplot(absl::string_view script) {
  const MemoryFile input("script");
  const MemoryFile output("picture");
  const MemoryFile errors("errors");
  if (!input.Fill(script) || output.descriptor() < 0 || errors.descriptor() < 0) {
    return FileError(absl::StrCat("no memory for a picture: ", std::strerror(errno)));
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input.descriptor(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output.descriptor(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors.descriptor(), STDERR_FILENO);
  char name[] = "gnuplot";
  char no_settings[] = "-d";
  char standard_input[] = "-";
  char* const arguments[] = {name, no_settings, standard_input, nullptr};
  pid_t child = 0;
  const int spawned = posix_spawnp(&child, name, &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (spawned != 0) return NotThere(spawned);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return FileError(absl::StrCat("gnuplot failed: ", absl::StripSuffix(errors.Contents(), "\n")));
  }
  return output.Contents();
}

absl::Status CheckGnuplot() { return RunGnuplot("").status(); }

std::string GnuplotString(absl::string_view text) {
  // Between single quotes nothing is special but they themselves; between double quotes, gnuplot
  // would run what stands in backquotes.
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') quoted += '\'';
    quoted += c == '\n' ? ' ' : c;
  }
  return quoted + "'";
}

std::string SvgTerminal(int width, int height) {
  return absl::StrCat("set terminal svg noenhanced size ", width, ",", height,
                      " font 'Helvetica,13' background '#ffffff'\n"
                      "set border lc rgb '#666666'\nset tics textcolor rgb '#333333'\n"
                      "set grid lc rgb '#e4e4e4' lt 1\n");
}

}  // namespace gradd::ctl

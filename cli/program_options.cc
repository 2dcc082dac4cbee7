#include "cli/program_options.h"

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/finite_number.h"

namespace gradd {

std::string VariableOf(absl::string_view option) {
  return absl::StrCat("GRADD_", absl::StrReplaceAll(absl::AsciiStrToUpper(option), {{"-", "_"}}));
}

void AddConfigOption(CLI::App* app, const char* variable) {
  // CLI11 reads the file before it looks at the environment, and so would not see this variable.
  const char* const path = std::getenv(variable);
  const bool given = path != nullptr && *path != '\0';
  app->set_config(
         "--config", given ? path : "",
         absl::StrCat("Read options from a file of lines like NAME=VALUE; also ", variable),
         /*config_required=*/given)
      ->type_name("FILE");
  app->allow_config_extras(CLI::config_extras_mode::error);
}

void RefuseEmptyValues(CLI::App* app, const std::vector<std::string>& may_be_empty) {
  const CLI::Validator not_empty(
      [](const std::string& value) {
        return std::string(
            value.empty() ? "an empty value found; leave the option out for its default" : "");
      },
      "");
  for (CLI::Option* option : app->get_options()) {
    const bool spared = std::find(may_be_empty.begin(), may_be_empty.end(), option->get_name()) !=
                        may_be_empty.end();
    if (!spared && option->get_items_expected_max() > 0) option->check(not_empty);
  }
  for (CLI::App* command : app->get_subcommands(nullptr)) RefuseEmptyValues(command, may_be_empty);
}

std::string CheckNumber(const std::string& text) {
  double value = 0;
  if (text.empty() || ParseFinite(text, &value)) return "";
  return absl::StrCat(Quoted(text), " found, ", kFiniteNumber, " expected");
}

namespace {

// CLI11 echoes what it was given, however long: words are cut as Quoted() cuts.
std::string WithoutLongWords(absl::string_view text) {
  constexpr size_t kLongest = 80;
  std::vector<std::string> words;
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    words.push_back(Abbreviated(word, kLongest));
  }
  return absl::StrJoin(words, " ");
}

}  // namespace

std::string ParseErrorText(const CLI::App& app, const CLI::ParseError& error) {
  std::string text = WithoutLongWords(error.what());
  if (dynamic_cast<const CLI::ConfigError*>(&error) == nullptr) return text;
  absl::string_view key = text;
  if (absl::ConsumePrefix(&key, "INI was not able to parse ")) {
    text = absl::StrCat("unknown option \"", key, "\"");
  }
  return absl::StrCat(app.get_config_ptr()->as<std::string>(), ": ", text);
}

int ExitAfterParsing(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() != 0) {
    std::fprintf(stderr, "%s: %s\nRun with --help for more information.\n", app.get_name().c_str(),
                 ParseErrorText(app, error).c_str());
    return 2;
  }
  app.exit(error);
  const absl::Status written = FlushStandardOutput();
  if (written.ok()) return 0;
  std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), std::string(written.message()).c_str());
  return 1;
}

absl::Status FlushStandardOutput() {
  const bool failed_before = std::ferror(stdout) != 0;
  const bool flushed = std::fflush(stdout) == 0;
  if (flushed && !failed_before) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("cannot write to standard output", flushed ? "" : ": ",
                                             flushed ? "" : std::strerror(errno)));
}

}  // namespace gradd

#ifndef GRADD_CLI_PROGRAM_OPTIONS_H_
#define GRADD_CLI_PROGRAM_OPTIONS_H_

#include <CLI/App.hpp>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/utf8.h"

// What the command lines of gradd, gradctl and gradworker have in common.
namespace gradd {

// The environment variable of an option: --max-runs is GRADD_MAX_RUNS.
std::string VariableOf(absl::string_view option);

// Adds --config, a file of options; without it, the environment variable `variable` may name
// one. A key that is no option is an error.
void AddConfigOption(CLI::App* app, const char* variable);

// What is wrong with `text` as a whole number, empty if nothing is: for the check() of an option.
// CLI11 by itself takes -1 for 2^64 - 1, and what is too large for the largest number. Nothing is
// for RefuseEmptyValues().
template <typename T>
std::string CheckWhole(const std::string& text) {
  T value = 0;
  if (text.empty() || absl::SimpleAtoi(text, &value)) return "";
  return absl::StrCat(Quoted(text), " found, a whole number from ", std::numeric_limits<T>::min(),
                      " to ", std::numeric_limits<T>::max(), " expected");
}

// The same, and in [low, high].
template <typename T>
std::function<std::string(const std::string&)> Between(T low, T high) {
  return [low, high](const std::string& text) -> std::string {
    if (std::string wrong = CheckWhole<T>(text); !wrong.empty() || text.empty()) return wrong;
    T value = 0;
    const bool within = absl::SimpleAtoi(text, &value) && value >= low && value <= high;
    return within ? "" : absl::StrCat(text, " is outside [", low, ", ", high, "]");
  };
}

// The same of a number; CLI11 by itself takes 1e400 for infinity.
std::string CheckNumber(const std::string& text);

// Refuses the empty string as a value of any option of `app` and its commands, but of those in
// `may_be_empty`: CLI11 would take it for 0, or for an option that was not given. Call it when all
// options are there.
void RefuseEmptyValues(CLI::App* app, const std::vector<std::string>& may_be_empty = {});

// What is wrong with the command line, in a line; for a config file with its name.
std::string ParseErrorText(const CLI::App& app, const CLI::ParseError& error);

// For a program that ends where parsing ends: prints --help or --version to standard output, or
// the error to standard error. Returns the exit code: 0, 1 if it cannot be written, 2.
int ExitAfterParsing(const CLI::App& app, const CLI::ParseError& error);

// Writes out what standard output still holds. UNAVAILABLE if that, or anything that was
// written to it before, could not be written.
absl::Status FlushStandardOutput();

}  // namespace gradd

#endif  // GRADD_CLI_PROGRAM_OPTIONS_H_

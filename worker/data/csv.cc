#include "worker/data/csv.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "core/base/error.h"
#include "core/base/number_text.h"
#include "core/base/utf8.h"
#include "worker/data/input_file.h"

namespace gradd {
namespace {

constexpr int64_t kMaxClasses = 1'000'000;
constexpr size_t kMaxLineBytes = size_t{64} << 20;
constexpr size_t kReadAheadBytes = size_t{1} << 20;
constexpr size_t kMaxQuotedBytes = 40;

// What was found, cut to a length that fits into a message.
std::string Quoted(absl::string_view text) {
  return absl::StrCat("\"", ForTerminal(Abbreviated(text, kMaxQuotedBytes)), "\"");
}

// The lines of a file, without their ends.
class LineReader {
 public:
  explicit LineReader(InputFile* file) : file_(file) {}

  // Number of the line last returned, counted from 1.
  int64_t line() const { return line_; }

  // The next line, valid until the next call; none at the end.
  absl::StatusOr<std::optional<absl::string_view>> Next() {
    while (true) {
      const char* begin = buffer_.data() + begin_;
      const size_t available = buffer_.size() - begin_;
      const char* end = available == 0 ? nullptr
                                       : static_cast<const char*>(std::memchr(
                                             begin + searched_, '\n', available - searched_));
      if (end != nullptr || (at_end_ && available > 0)) {
        const size_t size = end != nullptr ? static_cast<size_t>(end - begin) : available;
        begin_ += std::min(size + 1, available);
        searched_ = 0;
        ++line_;
        return std::make_optional(absl::StripSuffix(absl::string_view(begin, size), "\r"));
      }
      if (at_end_) return std::optional<absl::string_view>();
      if (available > kMaxLineBytes) {
        return absl::InvalidArgumentError(absl::StrCat(
            file_->path(), ":", line_ + 1, ": a line of more than ", kMaxLineBytes, " bytes"));
      }
      GRADD_RETURN_IF_ERROR(Fill());
    }
  }

 private:
  absl::Status Fill() {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
    begin_ = 0;
    searched_ = buffer_.size();
    buffer_.resize(searched_ + kReadAheadBytes);
    const absl::StatusOr<size_t> read =
        file_->Read(kReadAheadBytes, reinterpret_cast<uint8_t*>(buffer_.data() + searched_));
    if (!read.ok()) return read.status();
    at_end_ = *read < kReadAheadBytes;
    buffer_.resize(searched_ + *read);
    return absl::OkStatus();
  }

  InputFile* file_;
  std::vector<char> buffer_;
  size_t begin_ = 0;     // Of what is not returned yet.
  size_t searched_ = 0;  // Bytes from begin_ on that hold no line end.
  bool at_end_ = false;
  int64_t line_ = 0;
};

// The fields of a line, without the quotation marks around those that have them (RFC 4180): a comma
// between these is none that separates. False if a quotation mark has no partner at the end of its
// field. What two of them within a field stand for is left as it is: no number has them.
bool SplitFields(absl::string_view line, std::vector<absl::string_view>* fields) {
  for (bool more = true; more;) {
    line = absl::StripLeadingAsciiWhitespace(line);
    size_t end = 0;
    if (absl::ConsumePrefix(&line, "\"")) {
      while (end < line.size()) {
        if (line[end] == '"' && line.substr(end + 1, 1) != "\"") break;
        end += line[end] == '"' ? 2 : 1;
      }
      if (end >= line.size()) return false;
      const absl::string_view field = line.substr(0, end);
      line = absl::StripLeadingAsciiWhitespace(line.substr(end + 1));
      end = 0;
      if (!line.empty() && line[0] != ',') return false;
      fields->push_back(field);
    } else {
      end = std::min(line.find(','), line.size());
      fields->push_back(absl::StripTrailingAsciiWhitespace(line.substr(0, end)));
    }
    more = end < line.size();
    if (more) line.remove_prefix(end + 1);
  }
  return true;
}

bool IsHeader(const std::vector<absl::string_view>& fields) {
  return std::none_of(fields.begin(), fields.end(), [](absl::string_view field) {
    float number = 0;
    return absl::SimpleAtof(field, &number);
  });
}

class CsvReader {
 public:
  CsvReader(const std::string& path, const CsvOptions& options) : path_(path), options_(options) {}

  absl::StatusOr<Dataset> Read() {
    absl::StatusOr<InputFile> file = InputFile::Open(path_);
    if (!file.ok()) return file.status();
    LineReader lines(&*file);
    while (true) {
      const absl::StatusOr<std::optional<absl::string_view>> line = lines.Next();
      if (!line.ok()) return line.status();
      if (!line->has_value()) break;
      // A byte order mark, as some spreadsheets put before UTF-8.
      const absl::string_view text =
          lines.line() == 1 ? absl::StripPrefix(**line, "\xef\xbb\xbf") : **line;
      if (absl::StripAsciiWhitespace(text).empty()) continue;
      std::vector<absl::string_view> fields;
      if (!SplitFields(text, &fields)) {
        return Wrong(lines.line(),
                     absl::StrCat("field ", fields.size() + 1,
                                  " begins with a quotation mark and does not end with one"));
      }
      GRADD_RETURN_IF_ERROR(AddLine(lines.line(), fields));
    }
    if (numbers_.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path_, ": no line of numbers found, at least one expected"));
    }
    numbers_.shrink_to_fit();
    const int64_t features = static_cast<int64_t>(columns_) - 1;
    if (options_.regression) {
      return Dataset::OfFloats(features, std::move(numbers_), std::move(targets_));
    }
    const int64_t classes = options_.classes > 0
                                ? options_.classes
                                : int64_t{*std::max_element(labels_.begin(), labels_.end())} + 1;
    return Dataset::OfFloats(features, std::move(numbers_), std::move(labels_), classes);
  }

  // Of a file that has been read.
  CsvColumns columns() const { return {path_, names_, label_column_}; }

 private:
  absl::Status Wrong(int64_t line, absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(path_, ":", line, ": ", what));
  }

  absl::Status AddLine(int64_t line, const std::vector<absl::string_view>& fields) {
    if (columns_ == 0) {
      const bool header = options_.header == CsvOptions::Header::kYes ||
                          (options_.header == CsvOptions::Header::kAuto && IsHeader(fields));
      GRADD_RETURN_IF_ERROR(Begin(line, fields, header));
      if (header) return absl::OkStatus();
    }
    if (fields.size() != columns_) {
      const auto found = static_cast<int64_t>(fields.size());
      return Wrong(line, absl::StrCat(CountText(found, "field", "fields"), " found, ", columns_,
                                      " expected as in line ", first_line_));
    }
    const size_t row = numbers_.size();
    numbers_.resize(row + columns_ - 1);
    for (size_t i = 0; i < fields.size(); ++i) {
      float number = 0;
      if (!absl::SimpleAtof(fields[i], &number) || !std::isfinite(number)) {
        return Wrong(line, absl::StrCat("column ", ColumnName(i), ": ", Quoted(fields[i]),
                                        " found, a finite number expected"));
      }
      if (i != label_column_) {
        numbers_[row + place_[i]] = number;
      } else if (options_.regression) {
        targets_.push_back(number);
      } else {
        GRADD_RETURN_IF_ERROR(AddLabel(line, fields[i]));
      }
    }
    return absl::OkStatus();
  }

  // Labels are read as doubles: "3.0" is a class, "3.5" is not, and no large integer is
  // rounded to another.
  absl::Status AddLabel(int64_t line, absl::string_view field) {
    const int64_t classes = options_.classes > 0 ? options_.classes : kMaxClasses;
    double label = 0;
    if (!absl::SimpleAtod(field, &label) || label != std::floor(label) || label < 0 ||
        label >= static_cast<double>(classes)) {
      return Wrong(line,
                   absl::StrCat("column ", ColumnName(label_column_), ": label ", Quoted(field),
                                " found, a class from 0 to ", classes - 1, " expected"));
    }
    labels_.push_back(static_cast<int32_t>(label));
    return absl::OkStatus();
  }

  // Learns the columns from the first line.
  absl::Status Begin(int64_t line, const std::vector<absl::string_view>& fields, bool header) {
    if (fields.size() < 2) {
      return Wrong(line, absl::StrCat(fields.size(), " field found, at least 2 expected"));
    }
    columns_ = fields.size();
    first_line_ = line;
    if (header) GRADD_RETURN_IF_ERROR(TakeNames(line, fields));
    const bool matched = options_.as != nullptr && !options_.as->names.empty() && header;
    GRADD_RETURN_IF_ERROR(matched ? MatchColumns(line) : FindLabel(line));
    if (place_.empty()) {
      for (size_t i = 0; i < columns_; ++i) place_.push_back(i < label_column_ ? i : i - 1);
    }
    return absl::OkStatus();
  }

  // A name says which column is meant; some have none.
  absl::Status TakeNames(int64_t line, const std::vector<absl::string_view>& fields) {
    std::map<absl::string_view, size_t> known;
    for (size_t i = 0; i < fields.size(); ++i) {
      const auto [other, is_new] = known.emplace(fields[i], i);
      if (!is_new && !fields[i].empty()) {
        return Wrong(line, absl::StrCat("columns ", other->second, " and ", i, " are both named ",
                                        Quoted(fields[i]), ", different names expected"));
      }
      names_.emplace_back(fields[i]);
    }
    return absl::OkStatus();
  }

  // Finds out where the columns of the other file are in this one.
  absl::Status MatchColumns(int64_t line) {
    const CsvColumns& other = *options_.as;
    const auto differs = [&](absl::string_view what) {
      return Wrong(line, absl::StrCat(what, " found; expected the columns of ", other.path));
    };
    label_column_ = other.label;
    if (names_ == other.names) return absl::OkStatus();
    for (const std::string& name : names_) {
      if (name.empty() && std::count(names_.begin(), names_.end(), name) > 1) {
        return differs("two columns without a name");
      }
      if (std::count(other.names.begin(), other.names.end(), name) == 0) {
        return differs(absl::StrCat("a column ", Quoted(name)));
      }
    }
    place_.resize(columns_);
    for (size_t i = 0; i < other.names.size(); ++i) {
      const auto at = std::find(names_.begin(), names_.end(), other.names[i]);
      if (at == names_.end()) return differs(absl::StrCat("no column ", Quoted(other.names[i])));
      const auto column = static_cast<size_t>(at - names_.begin());
      if (i == other.label) label_column_ = column;
      place_[column] = i < other.label ? i : i - 1;
    }
    return absl::OkStatus();
  }

  absl::Status FindLabel(int64_t line) {
    if (options_.as != nullptr && options_.as->label < columns_) {
      label_column_ = options_.as->label;  // No names to go by: the place is all there is.
      return absl::OkStatus();
    }
    const std::string& wanted = options_.label_column;
    const auto same = std::count(names_.begin(), names_.end(), wanted);
    int64_t index = -1;
    if (wanted.empty()) {
      label_column_ = columns_ - 1;
    } else if (same == 1) {
      label_column_ =
          static_cast<size_t>(std::find(names_.begin(), names_.end(), wanted) - names_.begin());
    } else if (absl::SimpleAtoi(wanted, &index) && index >= 0 &&
               index < static_cast<int64_t>(columns_)) {
      label_column_ = static_cast<size_t>(index);
    } else {
      return Wrong(line, absl::StrCat("label column ", Quoted(wanted), ": ",
                                      names_.empty() ? "no header and " : "", columns_, " columns",
                                      names_.empty() ? "" : " (" + SomeNames() + ")",
                                      " found, a name of the header or a number from 0 to ",
                                      columns_ - 1, " expected"));
    }
    return absl::OkStatus();
  }

  std::string SomeNames() const {
    constexpr size_t kMost = 12;
    if (names_.size() <= kMost) return absl::StrJoin(names_, ", ");
    return absl::StrJoin(names_.begin(), names_.begin() + kMost, ", ") + ", ...";
  }

  std::string ColumnName(size_t column) const {
    return names_.empty() ? absl::StrCat(column) : absl::StrCat(column, " (", names_[column], ")");
  }

  const std::string& path_;
  const CsvOptions& options_;
  size_t columns_ = 0;
  size_t label_column_ = 0;
  std::vector<size_t> place_;  // Of each column but the label's, among the features.
  int64_t first_line_ = 0;
  std::vector<std::string> names_;
  std::vector<float> numbers_;
  std::vector<int32_t> labels_;
  std::vector<float> targets_;
};

}  // namespace

absl::StatusOr<Dataset> ReadCsv(const std::string& path, const CsvOptions& options,
                                CsvColumns* columns) {
  CsvReader reader(path, options);
  absl::StatusOr<Dataset> data = reader.Read();
  if (columns != nullptr) *columns = reader.columns();
  return data;
}

}  // namespace gradd

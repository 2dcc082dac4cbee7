#ifndef GRADD_CTL_FIELDS_H_
#define GRADD_CTL_FIELDS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "google/protobuf/message.h"
#include "gradd/v1/run.pb.h"

namespace gradd::ctl {

// A word for a field of Run, as flag of `gradctl create` and in `gradctl set`. One word may
// stand for several fields: `momentum` is one of three optimizers'.
struct ShortName {
  const char* name;
  const char* alias;  // Another spelling, or "".
  const char* path;   // Field path of Run.
  const char* value;  // What kind of value, for --help; "" for a switch.
  const char* help;
};

// Says nothing of a new run, whose schedule counts from its first step.
constexpr char kScheduleBegin[] = "schedule.begins_at";

// All short names; those of one word stand together.
absl::Span<const ShortName> ShortNames();

// The field path that `name` (a short name or a field path) stands for, in a run that uses the
// optimizer, schedule and policy of `run`. An error if it belongs to another one than the run
// uses, saying to which.
absl::StatusOr<std::string> ResolveField(absl::string_view name, const v1::Run& run);

// Whether ResolveField() looks at the run: the word belongs to some optimizer, schedule or policy.
bool DependsOnKind(absl::string_view name);

// Sets the field at `path` of `run` to what `text` says: a number, `true` or `false`, an enum value
// in short (`learning-rate`) or in full, a duration (`60`, `60s`, `5m`), JSON for a whole message,
// a list (`100,200`, of messages that consist of numbers `0:1,100:0.5`, else JSON in []), or
// `default`, which clears the field where it has one. Ranges are the server's to check.
absl::Status SetField(absl::string_view path, absl::string_view text, v1::Run* run);

// `60` and `60s` are a minute, `5m` five.
absl::StatusOr<absl::Duration> ParseDurationText(absl::string_view text);

// The optimizer, schedule or policy that is set in `message`'s oneof as people write it
// (`adagrad`); "" if none.
std::string KindName(const google::protobuf::Message& message);

// As people write the oneof member `field_name`: `ada_grad` is `adagrad`, `one_cycle` is
// `one-cycle`.
std::string KindName(absl::string_view field_name);

// The member of `type`'s oneof that `text` names, in any of the spellings that there are: that of
// KindName(), of the API, and of torch (`adamw`, `adam_w`, `adam-w`, `AdamW`; `cosine`,
// `cosine_decay`, `CosineAnnealingLR`). A usage error with the nearest one and all that there are.
absl::StatusOr<const google::protobuf::FieldDescriptor*> FindKind(
    const google::protobuf::Descriptor& type, absl::string_view text);

// What `type` looks like as JSON, for messages: `{"sgd":{}}`.
std::string JsonExample(const google::protobuf::Descriptor& type);

// All that KindName() can be for `type`'s oneof, in the order of the fields.
std::vector<std::string> KindNames(const google::protobuf::Descriptor& type);

// Whether `field` is a message of single numbers, which is written with colons: `100:0.5`.
bool ConsistsOfNumbers(const google::protobuf::FieldDescriptor* field);

// The number, without its prefix and in lower case: WEIGHT_DECAY_MODE_COUPLED is `coupled`.
std::string EnumText(const google::protobuf::EnumValueDescriptor& value);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_FIELDS_H_

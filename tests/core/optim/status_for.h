#ifndef GRADD_TESTS_CORE_OPTIM_STATUS_FOR_H_
#define GRADD_TESTS_CORE_OPTIM_STATUS_FOR_H_

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/status/status.h"
#include "core/optim/optimizer_factory.h"

namespace gradd {

// What is said of the optimizer that `text` describes, as protobuf's text format.
inline absl::Status StatusFor(const std::string& text) {
  v1::Optimizer spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &spec)) << text;
  return MakeOptimizer(spec).status();
}

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_OPTIM_STATUS_FOR_H_

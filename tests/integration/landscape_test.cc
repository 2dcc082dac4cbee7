// Paths over landscapes as gradctl walks them, through server and client, against ten lines of
// float64.

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "server/server.h"
#include "tests/ctl/fake_console.h"
#include "tests/support/landscapes.h"
#include "worker/models/landscape.h"

namespace gradd {
namespace {

constexpr double kRate = 1e-3;
constexpr size_t kSteps = 100;

class LandscapePathTest : public testing::TestWithParam<LandscapeInfo> {
 protected:
  LandscapePathTest() {
    ServerOptions options;
    options.listen = "127.0.0.1:0";
    options.http = "";
    server_ = *Server::Start(options);
  }

  // The points of an entry's path, the first one included.
  std::vector<Point> Path(const std::string& entry) {
    ctl::FakeConsole console;
    EXPECT_EQ(console.Run({"--server", server_->grpc_address(), "--json", "landscape",
                           GetParam().name, entry, "--steps", std::to_string(kSteps)}),
              0)
        << console.err;
    std::vector<Point> path;
    const auto json = nlohmann::json::parse(console.out);
    for (const auto& point : json["paths"][0]["points"]) path.push_back({point[0], point[1]});
    EXPECT_EQ(path.size(), kSteps + 1);
    return path;
  }

  std::unique_ptr<Server> server_;
};

TEST_P(LandscapePathTest, GradientDescentIsThatOfTenLinesInDouble) {
  const std::vector<Point> path = Path("sgd:0.001");
  Point p = GetParam().start;
  for (const Point& actual : path) {
    for (size_t axis = 0; axis < 2; ++axis) {
      ASSERT_NEAR(actual[axis], p[axis], 2e-5 * std::max(1.0, std::abs(p[axis])));
    }
    const Slope slope = SlopeAt(GetParam().landscape, p);
    for (size_t axis = 0; axis < 2; ++axis) p[axis] -= kRate * slope.gradient[axis];
  }
  EXPECT_NE(path.front(), path.back());
}

TEST_P(LandscapePathTest, AdamIsThatOfTenLinesInDouble) {
  const std::vector<Point> path = Path("adam:0.001");
  Point p = GetParam().start;
  Point m = {0, 0};
  Point v = {0, 0};
  for (size_t t = 1; t <= path.size(); ++t) {
    const Point& actual = path[t - 1];
    const Slope slope = SlopeAt(GetParam().landscape, p);
    for (size_t axis = 0; axis < 2; ++axis) {
      ASSERT_NEAR(actual[axis], p[axis], 2e-5 * std::max(1.0, std::abs(p[axis]))) << t;
      m[axis] = 0.9 * m[axis] + 0.1 * slope.gradient[axis];
      v[axis] = 0.999 * v[axis] + 0.001 * slope.gradient[axis] * slope.gradient[axis];
      const double m_hat = m[axis] / (1 - std::pow(0.9, t));
      const double v_hat = v[axis] / (1 - std::pow(0.999, t));
      p[axis] -= kRate * m_hat / (std::sqrt(v_hat) + 1e-8);
    }
  }
}

TEST_P(LandscapePathTest, MomentumIsThatOfTenLinesInDouble) {
  const std::vector<Point> path = Path("momentum:learning-rate=0.001,momentum=0.9");
  Point p = GetParam().start;
  Point velocity = {0, 0};
  for (const Point& actual : path) {
    for (size_t axis = 0; axis < 2; ++axis) {
      ASSERT_NEAR(actual[axis], p[axis], 2e-5 * std::max(1.0, std::abs(p[axis])));
    }
    const Slope slope = SlopeAt(GetParam().landscape, p);
    for (size_t axis = 0; axis < 2; ++axis) {
      velocity[axis] = 0.9 * velocity[axis] + slope.gradient[axis];
      p[axis] -= kRate * velocity[axis];
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, LandscapePathTest, testing::ValuesIn(Landscapes()), LandscapeName);

}  // namespace
}  // namespace gradd

// Paths over landscapes, through server and client.

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "client/session.h"
#include "server/server.h"
#include "worker/models/landscape_model.h"

namespace gradd {
namespace {

constexpr double kRate = 1e-3;

class LandscapePathTest : public testing::TestWithParam<LandscapeInfo> {
 protected:
  LandscapePathTest() {
    ServerOptions options;
    options.listen = "127.0.0.1:0";
    options.http = "";
    server_ = *Server::Start(options);
  }

  // The points of a run with that optimizer, the first one included.
  std::vector<Point> Path(const v1::Optimizer& optimizer, int steps) {
    LandscapeModel model(GetParam().landscape, GetParam().start);
    v1::Run spec;
    *spec.mutable_layout() = model.layout();
    *spec.mutable_optimizer() = optimizer;
    spec.mutable_schedule()->set_learning_rate(kRate);
    spec.mutable_policy()->mutable_synchronous()->set_workers(1);
    EXPECT_TRUE(server_->registry()->Create("path", spec, "").ok());
    SessionOptions options;
    options.server = server_->grpc_address();
    options.run = "path";
    options.worker = "w";
    const auto session = *Session::Open(std::move(options));
    std::vector<float> p(2);
    EXPECT_TRUE(session->Pull(absl::MakeSpan(p)).ok());
    std::vector<Point> path = {{static_cast<double>(p[0]), static_cast<double>(p[1])}};
    const std::vector<float> no_noise(2);
    BatchView<float> batch;
    batch.examples = 1;
    batch.features = no_noise;
    for (int64_t step = 0; step < steps; ++step) {
      std::vector<float> gradient(2);
      const double loss = model.LossAndGradient(p, batch, absl::MakeSpan(gradient));
      const auto report = session->Push({step, 1, loss}, gradient, absl::MakeSpan(p)).get();
      EXPECT_TRUE(report.ok()) << report.status();
      path.push_back({static_cast<double>(p[0]), static_cast<double>(p[1])});
    }
    return path;
  }

  std::unique_ptr<Server> server_;
};

TEST_P(LandscapePathTest, GradientDescentIsThatOfTenLinesInDouble) {
  v1::Optimizer optimizer;
  optimizer.mutable_sgd();
  const std::vector<Point> path = Path(optimizer, 100);
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

TEST_P(LandscapePathTest, MomentumIsThatOfTenLinesInDouble) {
  v1::Optimizer optimizer;
  optimizer.mutable_momentum()->set_momentum(0.9);
  const std::vector<Point> path = Path(optimizer, 100);
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

INSTANTIATE_TEST_SUITE_P(All, LandscapePathTest, testing::ValuesIn(Landscapes()),
                         [](const auto& param) {
                           std::string name = param.param.name;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace gradd

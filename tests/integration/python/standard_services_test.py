"""gRPC's health and reflection services, asked in bare bytes: what load balancers and grpcurl use."""
from gradd_process import ServerTest, TIMEOUT_SECONDS, until

SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"  # HealthCheckResponse.status
LIST_SERVICES = b"\x3a\x00"  # ServerReflectionRequest.list_services


class StandardServicesTest(ServerTest):
    def health(self):
        return self.channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=TIMEOUT_SECONDS)

    def test_a_server_that_serves_is_healthy(self):
        self.assertEqual(self.health(), SERVING)

    def test_a_server_that_stops_says_that_it_is_not_healthy(self):
        statuses = self.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        self.assertEqual(next(statuses), SERVING)
        self.server.terminate()
        self.assertEqual(next(statuses), NOT_SERVING)
        until("gradd's end", lambda: self.server.poll() is not None)
        self.assertEqual(self.server.returncode, 0)

    def test_reflection_names_every_service(self):
        answers = self.channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")(
                iter([LIST_SERVICES]), timeout=TIMEOUT_SECONDS)
        services = next(answers)
        for name in (b"gradd.v1.RunService", b"gradd.v1.TrainingService", b"grpc.health.v1.Health"):
            self.assertIn(name, services)
        answers.cancel()

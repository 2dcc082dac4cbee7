"""Whether lr-find suggests a rate near the best one, on Fashion-MNIST."""
import json

from gradd.v1 import run_service_pb2 as run_api
from gradd_process import TIMEOUT_SECONDS
from paused_run import FASHION_MNIST, PausedRunTest

STEPS = 900


class RatesTest(PausedRunTest):
    MODEL = FASHION_MNIST

    def mean_last_losses(self, run, rates):
        """Of the run, trained at each of the rates."""
        request = run_api.RunTrialsRequest(name=f"runs/{run}")
        for rate in rates:
            trial = request.trials.add(max_steps=STEPS)
            trial.schedule.learning_rate = rate
        losses = [[] for _ in rates]
        for response in self.runs.RunTrials(request, timeout=4 * TIMEOUT_SECONDS):
            for news in response.news:
                losses[news.trial] += [step.loss for step in news.steps]
        last = 200
        return [sum(of_rate[-last:]) / last if len(of_rate) == STEPS else float("inf")
                for of_rate in losses]

    def check(self, optimizer, lowest):
        """Compares with the best of nine rates, half a decade apart."""
        self.create_paused(optimizer, "--optimizer", optimizer, "--learning-rate", "0.01")
        before = self.what_must_stay(optimizer)
        suggested = json.loads(self.run_program(
            "gradctl", "--server", self.grpc, "--json", "lr-find", optimizer))["learning_rate"]
        self.assertEqual(self.what_must_stay(optimizer), before)
        self.assertEqual(self.run_ids(), [f"runs/{optimizer}"])
        rates = [lowest * 10 ** (i / 2) for i in range(9)]
        losses = self.mean_last_losses(optimizer, rates)
        best = rates[losses.index(min(losses))]
        print(f"{optimizer}: suggested {suggested:.2g}, best of the grid {best:.2g}")
        self.assertLess(suggested, 3 * best)
        self.assertGreater(suggested, best / 3)

    def test_sgd(self):
        self.check("sgd", 1e-3)

    def test_momentum(self):
        self.check("momentum", 1e-4)

    def test_adam(self):
        self.check("adam", 1e-5)

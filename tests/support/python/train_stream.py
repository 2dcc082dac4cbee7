"""A Train stream and its requests, with the generated stubs."""
import queue

import grpc
from gradd.v1 import training_service_pb2 as api


def join(worker="w", run="runs/r", **fields):
    return api.TrainRequest(join=api.Join(run=run, worker=worker, **fields))


def header(sequence=1, base_step=0, examples=1, loss=0.0):
    return api.PushHeader(sequence=sequence, base_step=base_step, examples=examples, loss=loss)


def push(head=None, piece=None, commit=True, want_parameters=False):
    message = api.Push(header=head, chunk=piece)
    if commit:
        message.commit.want_parameters = want_parameters
    return api.TrainRequest(push=message)


class Stream:
    """A Train stream whose requests are sent when the test says so."""

    def __init__(self, stub, *requests):
        self.requests = queue.Queue()
        self.responses = stub.Train(iter(self.requests.get, None))
        self.send(*requests)

    def send(self, *requests):
        for request in requests:
            self.requests.put(request)

    def half_close(self):
        self.send(None)

    def next(self):
        return next(self.responses)

    def error(self):
        """The error that ends the stream, as (code, reason, message)."""
        try:
            for _ in self.responses:
                pass
        except grpc.RpcError as error:
            reasons = [value for key, value in error.trailing_metadata() or ()
                       if key == "gradd-reason"]
            return error.code(), "".join(reasons), error.details()
        return grpc.StatusCode.OK, "", ""

    def cancel(self):
        self.responses.cancel()
        self.send(None)

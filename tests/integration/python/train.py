"""A gradd worker in Python, with nothing but gRPC's generated stubs.

Trains y = w . x + b by gradient descent: python3 train.py HOST:PORT runs/RUN
"""
import queue
import random
import struct
import sys

import grpc
from gradd.v1 import training_service_pb2 as api
from gradd.v1 import training_service_pb2_grpc as services

address, run = sys.argv[1:]
generator = random.Random(1)
inputs = [(generator.uniform(-1, 1), generator.uniform(-1, 1), 1.0) for _ in range(64)]
targets = [3 * x[0] - 2 * x[1] + 0.5 for x in inputs]

requests = queue.Queue()
stub = services.TrainingServiceStub(grpc.insecure_channel(address))
responses = stub.Train(iter(requests.get, None))
requests.put(api.TrainRequest(join=api.Join(run=run, worker="python", want_parameters=True)))
sequence = next(responses).welcome.last_sequence
for response in responses:
    if response.push_result.outcome == api.PUSH_OUTCOME_REJECTED:
        sys.exit(response.push_result.message)
    if response.push_result.outcome == api.PUSH_OUTCOME_RESEND:
        requests.put(push)
    if not response.HasField("parameters"):
        continue
    step = response.parameters.step
    w = struct.unpack("<3f", response.parameters.data)
    errors = [sum(a * b for a, b in zip(w, x)) - y for x, y in zip(inputs, targets)]
    loss = sum(error * error for error in errors) / 2 / len(errors)
    if loss < 1e-6:
        break
    gradient = [sum(e * x[i] for e, x in zip(errors, inputs)) / len(errors) for i in range(3)]
    sequence += 1
    header = api.PushHeader(sequence=sequence, base_step=step, examples=len(errors), loss=loss)
    chunk = api.ParameterChunk(data=struct.pack("<3f", *gradient))
    commit = api.PushCommit(want_parameters=True)
    push = api.TrainRequest(push=api.Push(header=header, chunk=chunk, commit=commit))
    requests.put(push)
requests.put(api.TrainRequest(leave=api.Leave()))
for response in responses:
    pass
print(f"loss {loss:.3g} after {step} steps")

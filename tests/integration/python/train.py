"""A gradd worker in Python, with nothing but gRPC's generated stubs.

Trains y = w . x + b by gradient descent: python3 train.py HOST:PORT runs/RUN
"""
import math
import queue
import struct
import sys

import grpc
from gradd.v1 import training_service_pb2 as api
from gradd.v1 import training_service_pb2_grpc as services

inputs = [(math.sin(i), math.cos(3 * i), 1.0) for i in range(64)]
targets = [3 * x[0] - 2 * x[1] + 0.5 for x in inputs]

requests = queue.Queue()
stub = services.TrainingServiceStub(grpc.insecure_channel(sys.argv[1]))
responses = stub.Train(iter(requests.get, None))
join = api.Join(run=sys.argv[2], worker="python", want_parameters=True, sends_timelines=True)
requests.put(api.TrainRequest(join=join))
sequence = next(responses).welcome.last_sequence
for response in responses:
    if response.push_result.outcome == api.PUSH_OUTCOME_REJECTED:
        sys.exit(response.push_result.message)
    if response.push_result.outcome == api.PUSH_OUTCOME_RESEND:
        requests.put(push)
    if response.push_result.outcome == api.PUSH_OUTCOME_ROLLED_BACK:
        sequence = response.push_result.last_sequence
    if not response.HasField("parameters"):
        continue
    step, timeline = response.parameters.step, response.parameters.timeline
    w = struct.unpack("<3f", response.parameters.data)
    errors = [sum(a * b for a, b in zip(w, x)) - y for x, y in zip(inputs, targets)]
    loss = sum(error * error for error in errors) / 2 / len(errors)
    if loss < 1e-6:
        break
    gradient = [sum(e * x[i] for e, x in zip(errors, inputs)) / len(errors) for i in range(3)]
    sequence += 1
    header = api.PushHeader(sequence=sequence, base_step=step, timeline=timeline)
    chunk = api.ParameterChunk(data=struct.pack("<3f", *gradient))
    commit = api.PushCommit(want_parameters=True, examples=len(errors), loss=loss)
    push = api.TrainRequest(push=api.Push(header=header, chunk=chunk, commit=commit))
    requests.put(push)
requests.put(api.TrainRequest(leave=api.Leave()))
list(responses)  # Until the stream ends.
print(f"loss {loss:.3g} after {step} steps")

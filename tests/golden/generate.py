#!/usr/bin/python3
"""Writes optimizers.json and schedules.json: what torch computes (Debian's python3-torch).

Each optimizer runs 1,000 steps on eight float32 parameters whose gradient is
  a_i * (p_i - c_i) + 0.1 * sin(0.7 * step + i),  a_i = 0.2 * (i + 1),  c_i = (-1)^i * (0.5 + 0.2 * i)
computed in double and rounded to float32. Every 100th state of the parameters is kept.
The names are those of tests/core/optim/optimizer_table.cc.
"""
import json
import math
import os

import torch
from torch import optim

SGD, ADAGRAD, RMS, ADAM = torch.optim.SGD, torch.optim.Adagrad, torch.optim.RMSprop, torch.optim.Adam
CASES = {
    'sgd': lambda p: SGD(p, lr=0.05),
    'sgd_weight_decay': lambda p: SGD(p, lr=0.05, weight_decay=0.1),
    'momentum': lambda p: SGD(p, lr=0.02, momentum=0.9),
    'momentum_dampening': lambda p: SGD(p, lr=0.02, momentum=0.8, dampening=0.3),
    'momentum_weight_decay': lambda p: SGD(p, lr=0.02, momentum=0.9, weight_decay=0.05),
    'nesterov': lambda p: SGD(p, lr=0.02, momentum=0.9, nesterov=True),
    'nesterov_weight_decay': lambda p: SGD(p, lr=0.02, momentum=0.7, nesterov=True, weight_decay=0.05),
    'ada_grad': lambda p: ADAGRAD(p, lr=0.1),
    'ada_grad_options': lambda p: ADAGRAD(p, lr=0.1, eps=1e-6, initial_accumulator_value=0.5, lr_decay=0.001),
    'ada_grad_weight_decay': lambda p: ADAGRAD(p, lr=0.1, weight_decay=0.05),
    'rms_prop': lambda p: RMS(p, lr=0.002),
    'rms_prop_centered': lambda p: RMS(p, lr=0.002, centered=True, alpha=0.9, eps=1e-3),
    'rms_prop_momentum': lambda p: RMS(p, lr=0.001, momentum=0.9),
    'rms_prop_centered_momentum': lambda p: RMS(p, lr=0.001, momentum=0.5, centered=True, eps=1e-3),
    'rms_prop_weight_decay': lambda p: RMS(p, lr=0.002, weight_decay=0.05),
    'adam': lambda p: ADAM(p, lr=0.01),
    'adam_options': lambda p: ADAM(p, lr=0.01, betas=(0.8, 0.99), eps=1e-4),
    'adam_weight_decay': lambda p: ADAM(p, lr=0.01, weight_decay=0.05),
    'adam_decoupled_weight_decay': lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.05),
    'rprop': lambda p: optim.Rprop(p, lr=0.01),
    'rprop_options': lambda p: optim.Rprop(p, lr=0.001, etas=(0.7, 1.1), step_sizes=(1e-4, 0.125)),
    'asgd': lambda p: optim.ASGD(p, lr=0.05),
    'asgd_options': lambda p: optim.ASGD(p, lr=0.1, lambd=0.01, alpha=0.5, t0=100),
    'asgd_weight_decay': lambda p: optim.ASGD(p, lr=0.02, weight_decay=0.05),
    'ada_delta': lambda p: optim.Adadelta(p, lr=1),
    'ada_delta_options': lambda p: optim.Adadelta(p, lr=0.5, rho=0.95, eps=1e-4),
    'ada_delta_weight_decay': lambda p: optim.Adadelta(p, lr=2, weight_decay=0.05),
    'ams_grad': lambda p: ADAM(p, lr=0.01, amsgrad=True),
    'ams_grad_options': lambda p: ADAM(p, lr=0.03, betas=(0.8, 0.99), eps=1e-4, amsgrad=True),
    'ams_grad_weight_decay': lambda p: ADAM(p, lr=0.01, weight_decay=0.05, amsgrad=True),
    'ams_grad_decoupled_weight_decay': lambda p: optim.AdamW(p, lr=0.02, weight_decay=0.05, amsgrad=True),
    'adam_w': lambda p: optim.AdamW(p, lr=0.01),
    'adam_w_options': lambda p: optim.AdamW(p, lr=0.03, betas=(0.8, 0.99), eps=1e-4, weight_decay=0.1),
    'adam_w_without_weight_decay': lambda p: ADAM(p, lr=0.02),
    'ada_max': lambda p: optim.Adamax(p, lr=0.01),
    'ada_max_options': lambda p: optim.Adamax(p, lr=0.03, betas=(0.8, 0.99), eps=1e-4),
    'ada_max_weight_decay': lambda p: optim.Adamax(p, lr=0.02, weight_decay=0.05),
    # Only with foreach: the loop over tensors of torch 1.13 has a factor mu too many in a product.
    'n_adam': lambda p: optim.NAdam(p, lr=0.01, foreach=True),
    'n_adam_options': lambda p: optim.NAdam(p, lr=0.02, betas=(0.8, 0.99), eps=1e-4, momentum_decay=0.1, foreach=True),
    'n_adam_weight_decay': lambda p: optim.NAdam(p, lr=0.01, weight_decay=0.05, foreach=True),
    'r_adam': lambda p: optim.RAdam(p, lr=0.01),
    'r_adam_options': lambda p: optim.RAdam(p, lr=0.02, betas=(0.8, 0.99), eps=1e-4),
    'r_adam_never_rectified': lambda p: optim.RAdam(p, lr=0.05, betas=(0.9, 0.6)),
    'r_adam_weight_decay': lambda p: optim.RAdam(p, lr=0.01, weight_decay=0.05),
}


def gradient(p, step):
    return [0.2 * (i + 1) * (x - (-1) ** i * (0.5 + 0.2 * i)) + 0.1 * math.sin(0.7 * step + i)
            for i, x in enumerate(p)]


def trajectory(make):
    p = torch.zeros(8, dtype=torch.float32, requires_grad=True)
    optimizer = make([p])
    states = []
    for step in range(1000):
        p.grad = torch.tensor(gradient(p.tolist(), step), dtype=torch.float64).float()
        optimizer.step()
        if (step + 1) % 100 == 0:
            states.append(p.tolist())
    return states


def rates(make):
    p = torch.zeros(1, requires_grad=True)
    optimizer = SGD([p], lr=0.3)
    scheduler = make(optimizer)
    result = []
    for step in range(1000):
        if step % 37 == 0:
            result.append([step, optimizer.param_groups[0]['lr']])
        optimizer.step()
        scheduler.step()
    return result


SCHEDULES = {
    'step_decay': lambda o: torch.optim.lr_scheduler.StepLR(o, step_size=30, gamma=0.7),
    'exponential_decay': lambda o: torch.optim.lr_scheduler.ExponentialLR(o, gamma=0.995),
}

here = os.path.dirname(os.path.abspath(__file__))
for name, content in (('optimizers', {n: trajectory(m) for n, m in CASES.items()}),
                      ('schedules', {n: rates(m) for n, m in SCHEDULES.items()})):
    with open(os.path.join(here, name + '.json'), 'w') as out:
        out.write('{\n' + ',\n'.join(f'"{k}": {json.dumps(v)}' for k, v in content.items()) + '\n}\n')

#!/usr/bin/python3
"""Writes optimizers.json, rows.json, groups.json, schedules.json and finite.json: what torch computes (1.13, Debian's
python3-torch; groups.json and finite.json are of 2.15). With arguments, only files of these names: generate.py groups

Each optimizer runs 1,000 steps on eight float32 parameters whose gradient is
  a_i * (p_i - c_i) + 0.1 * sin(0.7 * step + i),  a_i = 0.2 * (i + 1),  c_i = (-1)^i * (0.5 + 0.2 * i)
computed in double and rounded to float32. Every 100th state of the parameters is kept.
The names are those of tests/core/optim/optimizer_table.cc.

Optimizers of sparse gradients do the same on six rows of three parameters, where i counts modulo 8 in a and c. At
each step the gradient has only row step modulo 6, and the rows r for which step * (r + 2) + r is divisible by 4.

Groups: fifteen parameters that are 1 at first, in tensors of 4, 2, 6 and 3, where i counts modulo 8 in a and c but not in
the sine; 200 steps of AdamW with one bound of the gradient's norm, warm-up and half a cosine. Every 10th state is kept.

Finite: fifty-three parameters that are 1 at first, whose gradient is 0.1 and -0.2 in turn. After some such steps comes one
with huge elements, and then three more as before. Kept are the magnitude, in how many elements it was, after how many
steps, and whether the parameters and all that the optimizer keeps stayed finite.
"""
import json
import math
import os
import sys

import numpy
import torch
from torch import optim


class RAdamDecayedApart(optim.RAdam):
    """What later versions do with decoupled_weight_decay=True; 1.13 has no such option."""

    def __init__(self, params, lr, decay):
        super().__init__(params, lr=lr)
        self.decay = decay

    def step(self):
        for group in self.param_groups:
            for p in group['params']:
                p.data.mul_(1 - group['lr'] * self.decay)
        super().step()


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
    'r_adam_decoupled_weight_decay': lambda p: RAdamDecayedApart(p, lr=0.01, decay=0.05),
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


ROWS_CASES = {
    'sgd': lambda p: SGD(p, lr=0.05),
    'ada_grad': lambda p: ADAGRAD(p, lr=0.1),
    'adam': lambda p: optim.SparseAdam(p, lr=0.01),
}


def rows_trajectory(make):
    p = torch.zeros(6, 3, dtype=torch.float32, requires_grad=True)
    optimizer = make([p])
    states = []
    for step in range(1000):
        rows = [r for r in range(6) if r == step % 6 or (step * (r + 2) + r) % 4 == 0]
        values = [[0.2 * (i % 8 + 1) * (x - (-1) ** (i % 8) * (0.5 + 0.2 * (i % 8))) + 0.1 * math.sin(0.7 * step + i)
                   for i, x in enumerate(p[r].tolist(), 3 * r)] for r in rows]
        values = torch.tensor(values, dtype=torch.float64).float().reshape(len(rows), 3)
        p.grad = torch.sparse_coo_tensor([rows], values, (6, 3))
        optimizer.step()
        if (step + 1) % 100 == 0:
            states.append(p.flatten().tolist())
    return states


# Decay and rate (as a factor) of each of the four tensors.
GROUPS_CASES = {
    'adam_w_clipped': ((0.1, 1), (0, 1), (0.1, 1), (0, 1)),
    'adam_w_clipped_rates': ((0.1, 1), (0, 2), (0.1, 1), (0.1, 0.5)),
}


def groups_trajectory(groups):
    tensors = [torch.ones(size, dtype=torch.float32, requires_grad=True) for size in (4, 2, 6, 3)]
    optimizer = optim.AdamW([{'params': [tensor], 'weight_decay': decay, 'lr': 0.01 * factor}
                             for tensor, (decay, factor) in zip(tensors, groups)])
    scheduler = optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: (step + 1) / 20 if step < 20 else 0.5 * (1 + math.cos(math.pi * (step - 20) / 180)))
    states = []
    for step in range(200):
        p = [x for tensor in tensors for x in tensor.tolist()]
        values = [0.2 * (i % 8 + 1) * (x - (-1) ** i * (0.5 + 0.2 * (i % 8))) + 0.1 * math.sin(0.7 * step + i)
                  for i, x in enumerate(p)]
        gradients = torch.tensor(values, dtype=torch.float64).float().split([4, 2, 6, 3])
        for tensor, gradient_of_tensor in zip(tensors, gradients):
            tensor.grad = gradient_of_tensor.clone()
        torch.nn.utils.clip_grad_norm_(tensors, 1)
        optimizer.step()
        scheduler.step()
        if (step + 1) % 10 == 0:
            states.append([x for tensor in tensors for x in tensor.tolist()])
    return states


# Whether one optimizer is, with all that it keeps.
def is_finite(p, optimizer):
    numbers = [p] + [value for value in optimizer.state[p].values() if torch.is_tensor(value)]
    return all(bool(torch.isfinite(number.detach()).all()) for number in numbers)


def finiteness(make):
    size = 53
    result = []
    for magnitude in (2e19, 1e30):
        for count in (1, size):
            for before in (0, 3):
                p = torch.ones(size, dtype=torch.float32, requires_grad=True)
                optimizer = make([p])
                finite = True
                for step in range(before + 4):
                    values = [0.1 if i % 2 == 0 else -0.2 for i in range(size)]
                    if step == before:
                        values[:count] = [-magnitude if i % 3 == 0 else magnitude for i in range(count)]
                    p.grad = torch.tensor(values, dtype=torch.float32)
                    optimizer.step()
                    finite = finite and is_finite(p, optimizer)
                result.append([magnitude, count, before, finite])
    return result


# What a scheduler does to the base rate 0.3, or to a momentum of 0.9. Of 1,000 steps every 11th is kept, and the `events`
# with the steps before and after them.
def cycled(value, make, events):
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=0.3, momentum=0.9)
    scheduler = make(optimizer)
    kept = {step + i for step in events for i in (-1, 0, 1)} | set(range(0, 1000, 11)) | {998, 999}
    result = []
    for step in range(1000):
        # Where torch has both, the closed form: the recursive one amplifies rounding errors near its end.
        closed = getattr(scheduler, '_get_closed_form_lr', None)
        if step in kept:
            result.append([step, closed()[0] if closed else optimizer.param_groups[0][value]])
        optimizer.step()
        if step < 999:  # Some end there.
            scheduler.step()
    return result


def rates(make, *events):
    return cycled('lr', make, events)


def momenta(make, *events):
    return cycled('momentum', make, events)


def one_cycle(**options):
    return lambda o: LR.OneCycleLR(o, max_lr=0.3, total_steps=1000, **options)


def cyclic(**options):
    return lambda o: LR.CyclicLR(o, base_lr=0.3, max_lr=1.8, step_size_up=60, **options)


def warmed_up(make):
    return lambda o: LR.SequentialLR(o, [LR.LinearLR(o, start_factor=0.25, total_iters=80), make(o)], milestones=[80])


# What torch has no scheduler for.
def formula(factor):
    return lambda o: LR.LambdaLR(o, factor)


LR = torch.optim.lr_scheduler
SCHEDULES = {
    'step_decay': rates(lambda o: LR.StepLR(o, step_size=30, gamma=0.7), 30, 60, 990),
    'exponential_decay': rates(lambda o: LR.ExponentialLR(o, gamma=0.995)),
    'multi_step_decay': rates(lambda o: LR.MultiStepLR(o, milestones=[1, 100, 101, 640], gamma=0.3), 1, 100, 640),
    'polynomial_decay': rates(lambda o: LR.PolynomialLR(o, total_iters=700, power=2.5), 700),
    'polynomial_decay_linear': rates(lambda o: LR.PolynomialLR(o, total_iters=999)),
    'linear': rates(lambda o: LR.LinearLR(o, start_factor=0.9, end_factor=0.2, total_iters=613), 613),
    'linear_up': rates(lambda o: LR.LinearLR(o, start_factor=0.1, total_iters=400), 400),
    'constant_factor': rates(lambda o: LR.ConstantLR(o, factor=0.25, total_iters=300), 300),
    'cosine_decay': rates(lambda o: LR.CosineAnnealingLR(o, T_max=999, eta_min=0.003)),
    'cosine_decay_to_zero': rates(lambda o: LR.CosineAnnealingLR(o, T_max=999)),
    'cosine_restarts': rates(lambda o: LR.CosineAnnealingWarmRestarts(o, T_0=70, eta_min=0.03), 70, 140, 980),
    'cosine_restarts_growing': rates(lambda o: LR.CosineAnnealingWarmRestarts(o, T_0=13, T_mult=2),
                                     13, 39, 91, 195, 403, 819),
    'cosine_restarts_tripling': rates(lambda o: LR.CosineAnnealingWarmRestarts(o, T_0=9, T_mult=3, eta_min=0.006),
                                      9, 36, 117, 360),
    'cyclic_triangular': rates(cyclic(mode='triangular'), 60, 120, 180, 240),
    'cyclic_triangular2': rates(cyclic(mode='triangular2', step_size_down=40), 60, 100, 160, 200),
    'cyclic_exp_range': rates(cyclic(mode='exp_range', gamma=0.997, step_size_down=140), 60, 200, 260),
    'one_cycle': rates(one_cycle(), 299, 300),
    'one_cycle_linear': rates(one_cycle(anneal_strategy='linear', pct_start=0.2503, div_factor=10.,
                                        final_div_factor=100.), 249, 250),
    'one_cycle_three_phase': rates(one_cycle(three_phase=True), 299, 598),
    'one_cycle_three_phase_linear': rates(one_cycle(three_phase=True, anneal_strategy='linear', pct_start=0.4),
                                          399, 798),
    'one_cycle_without_rise': rates(one_cycle(pct_start=0.)),
    'one_cycle_all_rise': rates(one_cycle(pct_start=1.)),
    'warm_up': rates(warmed_up(lambda o: LR.ConstantLR(o, factor=1)), 80),
    'warm_up_cosine': rates(warmed_up(lambda o: LR.CosineAnnealingLR(o, T_max=920, eta_min=0.003)), 80),
    'warm_up_step': rates(warmed_up(lambda o: LR.StepLR(o, step_size=90, gamma=0.5)), 80, 170, 260),
    'sequence': rates(lambda o: LR.SequentialLR(o, [
        LR.LinearLR(o, start_factor=0.5, total_iters=100), LR.ExponentialLR(o, gamma=0.99),
        LR.CosineAnnealingWarmRestarts(o, T_0=50, T_mult=2)], milestones=[100, 300]), 100, 300, 350, 450),
    'inverse_time_decay': rates(formula(lambda s: 1 / (1 + 0.5 * s / 20))),
    'inverse_time_decay_staircase': rates(formula(lambda s: 1 / (1 + 0.5 * (s // 20))), 20, 40),
    'inverse_square_root': rates(formula(lambda s: min(s / 64, math.sqrt(64 / max(s, 1)))), 64),
    'stable_decay': rates(formula(lambda s: min(s / 50, 1) * (1 - 0.9 * min(max(s - 650, 0) / 300, 1))),
                          50, 650, 950),
    'stable_decay_square_root': rates(formula(lambda s: 1 - math.sqrt(min(max(s - 600, 0) / 350, 1))), 600, 950),
    'piecewise': rates(formula(lambda s: 0.5 if s < 200 else 1 if s < 201 else 0.25 if s < 777 else 3),
                       100, 200, 777),
    'piecewise_interpolated': rates(formula(lambda s: float(numpy.interp(s, [100, 200, 201, 777], [0.5, 1, 0.25, 3]))),
                                    100, 200, 777),
    'cyclic_triangular_momentum': momenta(cyclic(mode='triangular'), 60, 120, 180, 240),
    'cyclic_triangular2_momentum': momenta(cyclic(mode='triangular2', step_size_down=40), 60, 100, 160, 200),
    'cyclic_exp_range_momentum': momenta(cyclic(mode='exp_range', gamma=0.997, step_size_down=140), 60, 200, 260),
    'cyclic_exp_range_momentum_options': momenta(
        cyclic(mode='exp_range', gamma=0.99, base_momentum=0.3, max_momentum=0.99), 60, 120),
    'one_cycle_momentum': momenta(one_cycle(), 299, 300),
    'one_cycle_linear_momentum': momenta(one_cycle(anneal_strategy='linear', pct_start=0.2503, base_momentum=0.5,
                                                   max_momentum=0.9), 249, 250),
    'one_cycle_three_phase_momentum': momenta(one_cycle(three_phase=True), 299, 598),
    'one_cycle_three_phase_linear_momentum': momenta(
        one_cycle(three_phase=True, anneal_strategy='linear', pct_start=0.4), 399, 798),
    'one_cycle_without_rise_momentum': momenta(one_cycle(pct_start=0.)),
    'one_cycle_all_rise_momentum': momenta(one_cycle(pct_start=1.)),
}


# What ReduceLROnPlateau observes and the rate after each observation. Losses fall, accuracies rise, both with ripples.
def reductions(mode, **options):
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler = LR.ReduceLROnPlateau(optimizer, mode, **options)
    result = []
    for i in range(300):
        loss = 0.2 + 2 * math.exp(-i / 30) + 0.2 * math.sin(1.7 * i) * math.exp(-i / 90)
        metric = loss if mode == 'min' else 1 - loss / 3
        scheduler.step(metric)
        result.append([metric, optimizer.param_groups[0]['lr']])
    return result


SCHEDULES.update({
    'plateau_defaults': reductions('min'),
    'plateau_min_relative': reductions('min', factor=0.5, patience=3, threshold=0.01),
    'plateau_min_absolute': reductions('min', factor=0.7, patience=2, threshold=0.05, threshold_mode='abs', cooldown=4),
    'plateau_max_relative': reductions('max', factor=0.25, patience=4, threshold=0.002, min_lr=0.006),
    'plateau_max_absolute': reductions('max', factor=0.9, patience=0, threshold=0.001, threshold_mode='abs',
                                       cooldown=1, eps=0.003),
})

here = os.path.dirname(os.path.abspath(__file__))
for name, content in (('optimizers', lambda: {n: trajectory(m) for n, m in CASES.items()}),
                      ('rows', lambda: {n: rows_trajectory(m) for n, m in ROWS_CASES.items()}),
                      ('groups', lambda: {n: groups_trajectory(m) for n, m in GROUPS_CASES.items()}),
                      ('schedules', lambda: SCHEDULES),
                      ('finite', lambda: {n: finiteness(m) for n, m in CASES.items()})):
    if sys.argv[1:] and name not in sys.argv[1:]:
        continue
    with open(os.path.join(here, name + '.json'), 'w') as out:
        out.write('{\n' + ',\n'.join(f'"{k}": {json.dumps(v)}' for k, v in content().items()) + '\n}\n')

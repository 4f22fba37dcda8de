#!/usr/bin/env python3
"""Writes test/golden/schedules.json: the learning rates that torch.optim.lr_scheduler gives two parameter groups over 200 steps.

    /usr/bin/python3 scripts/golden_schedules.py [folder]

See test/golden/README.md for the format.
"""

import math
import sys
import warnings
from pathlib import Path

from golden import encode, write  # first: it settles which kernels PyTorch uses

import numpy as np
import torch
from torch.optim import lr_scheduler, swa_utils

STEPS = 200
RATES = [0.1, 0.03]
LAMBDAS = {"decay": lambda epoch: 0.95**epoch, "root": lambda epoch: 1 / math.sqrt(epoch + 1)}


def make(optimizer, spec):
    kind, options = spec["kind"], spec.get("options", {})
    if kind == "SequentialLR":
        return lr_scheduler.SequentialLR(optimizer, [make(optimizer, one) for one in spec["schedulers"]], spec["milestones"])
    if kind == "ChainedScheduler":
        return lr_scheduler.ChainedScheduler([make(optimizer, one) for one in spec["schedulers"]])
    if kind == "LambdaLR":
        return lr_scheduler.LambdaLR(optimizer, [LAMBDAS[name] for name in spec["lambdas"]])
    made = swa_utils.SWALR if kind == "SWALR" else getattr(lr_scheduler, kind)
    return made(optimizer, *spec.get("args", []), **options)


def solve(name, spec, optimizer="SGD", rates=RATES, epochs=None, metrics=None, steps=STEPS):
    """`epochs`, `metrics`: what each step is given. The first row is before any step."""
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in rates]
    settings = {"momentum": 0.5} if optimizer == "SGD" else {}
    made = {"SGD": torch.optim.SGD, "AdamW": torch.optim.AdamW}[optimizer](groups, lr=1, **settings)
    schedule = make(made, spec)
    momentum_of = lambda group: group["betas"][0] if "betas" in group else group["momentum"]
    taken = lambda: [[group["lr"], momentum_of(group)] for group in made.param_groups]
    rows = [taken()]
    for step in range(steps):
        given = epochs or metrics
        made.step()
        schedule.step(*([given[step]] if given else []))
        rows.append(taken())
    rows = np.array(rows)
    return {
        "name": name,
        "schedule": spec,
        "optimizer": optimizer,
        "rates": rates,
        **({"epochs": epochs} if epochs else {}),
        **({"metrics": metrics} if metrics else {}),
        "lrs": encode(rows[:, :, 0], "<f8"),
        # Most schedules leave the momentum alone.
        **({"momenta": encode(rows[:, :, 1], "<f8")} if np.ptp(rows[:, :, 1]) else {}),
    }


def of(kind, *args, **options):
    return {"kind": kind, **({"args": list(args)} if args else {}), **({"options": options} if options else {})}


def metrics(rng):
    """A loss that falls, stands still for a while, and falls again, with noise."""
    values = [1 / (1 + min(step % 70, 40) + 40 * (step // 70)) for step in range(STEPS)]
    return [round(value * (1 + 0.02 * rng.standard_normal()), 6) for value in values]


def cases():
    loss = metrics(np.random.default_rng(3))
    yield solve("StepLR", of("StepLR", 30))
    yield solve("StepLR, every step", of("StepLR", 1, gamma=0.97))
    yield solve("MultiStepLR", of("MultiStepLR", [30, 80, 80, 150], gamma=0.5))
    yield solve("ConstantLR", of("ConstantLR"))
    yield solve("ConstantLR, long", of("ConstantLR", factor=0.7, total_iters=120))
    yield solve("LinearLR", of("LinearLR"))
    yield solve("LinearLR, down", of("LinearLR", start_factor=0.9, end_factor=0.1, total_iters=150))
    yield solve("ExponentialLR", of("ExponentialLR", 0.97))
    yield solve("PolynomialLR", of("PolynomialLR"))
    yield solve("PolynomialLR, power", of("PolynomialLR", total_iters=180, power=2.5))
    yield solve("LambdaLR", {"kind": "LambdaLR", "lambdas": ["decay", "root"]})
    yield solve("CosineAnnealingLR", of("CosineAnnealingLR", 50))
    yield solve("CosineAnnealingLR, least rate", of("CosineAnnealingLR", 130, eta_min=0.02))
    yield solve("CosineAnnealingWarmRestarts", of("CosineAnnealingWarmRestarts", 20))
    yield solve("CosineAnnealingWarmRestarts, longer and longer", of("CosineAnnealingWarmRestarts", 10, T_mult=2, eta_min=1e-3))
    halves = [step / 4 for step in range(1, STEPS + 1)]
    yield solve("CosineAnnealingWarmRestarts, quarters", of("CosineAnnealingWarmRestarts", 7, T_mult=2), epochs=halves)
    yield solve("CosineAnnealingWarmRestarts, quarters of equal cycles", of("CosineAnnealingWarmRestarts", 7), epochs=halves)
    yield solve("OneCycleLR", of("OneCycleLR", 0.5, total_steps=200))
    yield solve("OneCycleLR, three phases", of("OneCycleLR", [0.5, 0.2], epochs=20, steps_per_epoch=10, three_phase=True))
    linear = {"anneal_strategy": "linear", "pct_start": 0.1, "div_factor": 10.0, "final_div_factor": 100.0}
    yield solve("OneCycleLR, linear, betas", of("OneCycleLR", 0.5, total_steps=250, **linear), "AdamW")
    own = {"base_momentum": [0.8, 0.7], "max_momentum": [0.9, 0.99]}
    yield solve("OneCycleLR, momenta", of("OneCycleLR", 0.5, total_steps=220, **own))
    yield solve("OneCycleLR, without momentum", of("OneCycleLR", 0.5, total_steps=220, cycle_momentum=False))
    yield solve("ReduceLROnPlateau", of("ReduceLROnPlateau"), metrics=loss)
    eager = {"factor": 0.5, "patience": 2, "cooldown": 3, "threshold": 1e-3, "min_lr": [1e-3, 1e-4]}
    yield solve("ReduceLROnPlateau, cooldown, least rates", of("ReduceLROnPlateau", **eager), metrics=loss)
    rising = {"mode": "max", "patience": 3, "threshold_mode": "abs", "threshold": 0.05, "factor": 0.3}
    yield solve("ReduceLROnPlateau, max, abs", of("ReduceLROnPlateau", **rising), metrics=[-value for value in loss])
    yield solve("ReduceLROnPlateau, max, rel", of("ReduceLROnPlateau", mode="max", patience=4), metrics=[1 - value for value in loss])
    yield solve("SWALR", of("SWALR", 0.05))
    yield solve("SWALR, linear", of("SWALR", [0.5, 0.001], anneal_epochs=90, anneal_strategy="linear"))
    yield solve("SWALR, at once", of("SWALR", 0.05, anneal_epochs=0))
    warm = of("LinearLR", start_factor=0.1, total_iters=20)
    sequence = lambda milestones, *schedulers: {"kind": "SequentialLR", "schedulers": list(schedulers), "milestones": milestones}
    yield solve("SequentialLR, warm-up and cosine", sequence([20], warm, of("CosineAnnealingLR", 180)))
    yield solve(
        "SequentialLR, three",
        sequence([30, 90], of("ConstantLR", factor=0.1, total_iters=10), of("ExponentialLR", 0.95), of("StepLR", 20)),
    )
    yield solve("SequentialLR, restarts", sequence([50], of("MultiStepLR", [20, 30]), of("CosineAnnealingWarmRestarts", 30)))
    yield solve("SequentialLR, SWALR", sequence([60], of("PolynomialLR", total_iters=100), of("SWALR", 0.01, anneal_epochs=20)))
    chain = lambda *schedulers: {"kind": "ChainedScheduler", "schedulers": list(schedulers)}
    yield solve("ChainedScheduler", chain(of("ConstantLR", factor=0.1, total_iters=60), of("ExponentialLR", 0.98)))
    yield solve("ChainedScheduler, cosine", chain(warm, of("CosineAnnealingLR", 60), of("StepLR", 70)))


def main():
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "test" / "golden"
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "schedules.json", {"torch": torch.__version__}, "cases", list(cases()))


if __name__ == "__main__":
    main()

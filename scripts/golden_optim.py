#!/usr/bin/env python3
"""Writes test/golden/optim.json, clipping.json and averaging.json: what torch.optim makes of parameters, in float64, from
float32 gradients; what torch.nn.utils makes of gradients; what torch.optim.swa_utils makes of a model and of its running statistics.

    /usr/bin/python3 scripts/golden_optim.py [folder]

See test/golden/README.md for the format.
"""

import sys
import zlib
from pathlib import Path

from golden import encode, write  # first: it settles which kernels PyTorch uses

import numpy as np
import torch
import torch.optim.swa_utils

SHAPES = [[5, 7], [9], [2, 3]]
STEPS = 100
SHOWN = (1, 10, 100)
DRAWN = 10  # gradients, which come again and again
# PyTorch's names of the state, and whether they are there in a case is PyTorch's matter.
STATE = ["momentum_buffer", "step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "square_avg", "grad_avg", "sum", "exp_inf"]


def solve(name, optimizer, settings, groups=None, dtype="f32", lrs=None, skip=()):
    """A trajectory. `groups`: settings of the first parameter's group and of that of the others. `skip`: [step, parameter]
    pairs without a gradient. An f16 parameter is rounded to f16 after each step, to nearest."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    stored = np.float16 if dtype == "f16" else np.float32
    draw = lambda shape, size: (size * rng.standard_normal(shape)).astype(stored).astype(np.float32)
    initial = [draw(shape, 1) for shape in SHAPES]
    # Sizes from 1e-3 to 10, as the gradients of one network have.
    gradients = [[draw(shape, 10.0 ** rng.uniform(-3, 1)) for shape in SHAPES] for _ in range(DRAWN)]
    parameters = [torch.nn.Parameter(torch.tensor(value, dtype=torch.float64)) for value in initial]
    if groups:
        given = [{"params": parameters[:1], **groups[0]}, {"params": parameters[1:], **groups[1]}]
    else:
        given = parameters
    made = getattr(torch.optim, optimizer)(given, **settings)
    after = {}
    for step in range(STEPS):
        if lrs:
            made.param_groups[0]["lr"] = lrs[step % len(lrs)]
        for i, (parameter, gradient) in enumerate(zip(parameters, gradients[step % DRAWN])):
            parameter.grad = None if (step, i) in skip else torch.tensor(gradient, dtype=torch.float64)
        made.step()
        if dtype == "f16":
            for parameter in parameters:
                rounded = parameter.detach().numpy().astype(np.float16).astype(np.float64)
                parameter.data.copy_(torch.from_numpy(rounded))
        if step + 1 in SHOWN:
            after[step + 1] = [snapshot(made, parameter) for parameter in parameters]
    return {
        "name": name,
        "optimizer": optimizer,
        "settings": settings,
        **({"groups": groups} if groups else {}),
        **({"lrs": lrs} if lrs else {}),
        "dtype": dtype,
        "skip": [list(pair) for pair in skip],
        "initial": [encode(value, "<f4") for value in initial],
        "gradients": [[encode(value, "<f4") for value in step] for step in gradients],
        "after": after,
    }


def snapshot(optimizer, parameter):
    tensors = {"param": parameter.detach()}
    for name in STATE:
        value = optimizer.state[parameter].get(name)
        if value is not None:
            tensors[name] = torch.as_tensor(value)
    return {name: encode(value.clone().numpy(), "<f8") for name, value in tensors.items()}


def cases():
    schedule = [0.1 * 0.7**step for step in range(DRAWN)]
    sgd = {"lr": 0.05}
    heavy = {**sgd, "momentum": 0.9}
    yield solve("SGD", "SGD", sgd)
    yield solve("SGD, weight decay", "SGD", {**sgd, "weight_decay": 0.1})
    yield solve("SGD, maximize", "SGD", {**sgd, "maximize": True, "weight_decay": 0.1})
    yield solve("SGD, momentum", "SGD", heavy)
    yield solve("SGD, momentum, dampening, weight decay", "SGD", {**heavy, "dampening": 0.3, "weight_decay": 0.01})
    yield solve("SGD, nesterov", "SGD", {**heavy, "nesterov": True, "weight_decay": 0.01})
    yield solve("SGD, nesterov, maximize", "SGD", {**heavy, "nesterov": True, "maximize": True})
    yield solve("SGD, two groups", "SGD", heavy, [{"lr": 0.5, "momentum": 0}, {"weight_decay": 0.1, "dampening": 0.5}])
    yield solve("SGD, schedule", "SGD", heavy, lrs=schedule)
    yield solve("SGD, missing gradients", "SGD", {**heavy, "dampening": 0.5}, skip=[(0, 1), (4, 0), (5, 1)])
    yield solve("SGD, f16", "SGD", heavy, dtype="f16")
    yield solve("AdamW", "AdamW", {"lr": 0.01})
    yield solve("AdamW, no decay", "AdamW", {"lr": 0.01, "weight_decay": 0})
    yield solve("AdamW, maximize", "AdamW", {"lr": 0.01, "weight_decay": 0.1, "maximize": True})
    yield solve("AdamW, amsgrad", "AdamW", {"lr": 0.01, "amsgrad": True, "betas": [0.9, 0.8]})
    yield solve("AdamW, betas", "AdamW", {"lr": 0.01, "betas": [0.3, 0.95], "eps": 1e-3})
    yield solve("AdamW, betas 0", "AdamW", {"lr": 0.01, "betas": [0.0, 0.0], "eps": 1e-2})
    yield solve("AdamW, betas near 1", "AdamW", {"lr": 0.01, "betas": [0.9999, 0.999999]})
    yield solve("AdamW, two groups", "AdamW", {"lr": 0.01}, [{"lr": 0.1}, {"betas": [0.5, 0.9], "amsgrad": True}])
    yield solve("AdamW, schedule", "AdamW", {"lr": 0.1}, lrs=schedule)
    yield solve("AdamW, missing gradients", "AdamW", {"lr": 0.01}, skip=[(0, 1), (4, 0), (5, 1)])
    yield solve("AdamW, f16", "AdamW", {"lr": 0.01}, dtype="f16")
    yield solve("Adam", "Adam", {})
    yield solve("Adam, weight decay, maximize", "Adam", {"lr": 0.01, "weight_decay": 0.1, "maximize": True})
    yield solve("Adam, amsgrad, weight decay", "Adam", {"lr": 0.01, "amsgrad": True, "betas": [0.9, 0.8], "weight_decay": 0.01})
    yield solve("Adam, missing gradients", "Adam", {"lr": 0.01}, skip=[(0, 1), (4, 0), (5, 1)])
    yield solve("RMSprop", "RMSprop", {})
    yield solve("RMSprop, weight decay, maximize", "RMSprop", {"lr": 0.01, "weight_decay": 0.1, "alpha": 0.9, "maximize": True})
    yield solve("RMSprop, momentum", "RMSprop", {"lr": 1e-3, "momentum": 0.9, "eps": 1e-4})
    yield solve("RMSprop, centered", "RMSprop", {"lr": 0.01, "centered": True, "eps": 1e-3})
    yield solve("RMSprop, centered, momentum", "RMSprop", {"lr": 1e-3, "centered": True, "momentum": 0.8, "alpha": 0.95})
    yield solve("RMSprop, two groups", "RMSprop", {"lr": 0.01}, [{"lr": 0.001, "momentum": 0.5}, {"centered": True}])
    yield solve("Adagrad", "Adagrad", {})
    yield solve("Adagrad, decay of the rate", "Adagrad", {"lr": 0.1, "lr_decay": 0.05, "weight_decay": 0.01})
    yield solve("Adagrad, initial value, maximize", "Adagrad", {"initial_accumulator_value": 0.5, "eps": 1e-3, "maximize": True})
    yield solve("Adagrad, missing gradients", "Adagrad", {"lr": 0.1, "lr_decay": 0.1}, skip=[(4, 0), (5, 1)])
    yield solve("Adamax", "Adamax", {})
    yield solve("Adamax, weight decay, maximize", "Adamax", {"lr": 0.01, "weight_decay": 0.1, "maximize": True})
    yield solve("Adamax, betas", "Adamax", {"lr": 0.01, "betas": [0.5, 0.9], "eps": 1e-3})
    yield solve("Adamax, schedule", "Adamax", {"lr": 0.1}, lrs=schedule)


def clip(name, sizes, max_norm, norm_type):
    """Gradients of SHAPES, of these sizes, clipped to a norm, or without norm_type to a value."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    gradients = [(size * rng.standard_normal(shape)).astype(np.float32) for shape, size in zip(SHAPES, sizes)]
    parameters = [torch.nn.Parameter(torch.zeros(shape, dtype=torch.float64)) for shape in SHAPES]
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = torch.tensor(gradient, dtype=torch.float64)
    spec = {"name": name, "max": max_norm, "gradients": [encode(gradient, "<f4") for gradient in gradients]}
    if norm_type is None:
        torch.nn.utils.clip_grad_value_(parameters, max_norm)
    else:
        norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm, norm_type)
        spec |= {"norm": str(norm_type), "total": float(norm)}
    return {**spec, "after": [encode(parameter.grad.numpy(), "<f8") for parameter in parameters]}


def clippings():
    for norm_type in (2.0, 1.0, float("inf")):
        for text, sizes in (("plain", [1, 1, 1]), ("sizes", [1e-3, 10, 1]), ("tiny", [1e-30, 1e-29, 1e-30]), ("huge", [1e30, 1e29, 1e28])):
            for max_norm in (1.0, 1e3, 0.0):
                yield clip(f"{text}, norm {norm_type}, to {max_norm}", sizes, max_norm, norm_type)
    yield clip("values", [1, 1, 100], 0.5, None)
    yield clip("values, none beyond", [1, 1, 1], 100.0, None)


def model():
    return torch.nn.Sequential(torch.nn.LayerNorm(6), torch.nn.BatchNorm1d(6), torch.nn.BatchNorm1d(6)).double()


def randomize(module, rng):
    """Sets every float of the state to a new float32 value. Returns those values."""
    values = {}
    for name, tensor in module.state_dict().items():
        if tensor.dtype == torch.float64:
            values[name] = (rng.standard_normal(tensor.shape) + 1).astype(np.float32)
            tensor.copy_(torch.from_numpy(values[name]))
    return values


def average(name, decay, use_buffers):
    """The average after one and after five updates. Counts, which PyTorch averages and truncates, are left out."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    source = model()
    ema = lambda averaged, value, _: decay * averaged + (1 - decay) * value
    averaged = torch.optim.swa_utils.AveragedModel(source, avg_fn=ema if decay else None, use_buffers=use_buffers)
    updates, after = [], {}
    for step in range(1, 6):
        values = randomize(source, rng)
        updates.append({key: encode(value, "<f4") for key, value in values.items()})
        averaged.update_parameters(source)
        if step in (1, 5):
            kept = averaged.module.state_dict() if use_buffers else dict(averaged.module.named_parameters())
            after[step] = {key: encode(kept[key].detach().numpy(), "<f8") for key in values if key in kept}
    return {"name": name, "decay": decay, "useBuffers": use_buffers, "updates": updates, "after": after}


def update_bn():
    """Running statistics of two BatchNorms, one after the other, over batches of different sizes."""
    rng = np.random.default_rng(7)
    source = model()
    values = randomize(source, rng)
    batches = [(rng.standard_normal([n, 6]) * (i + 1) + 10).astype(np.float32) for i, n in enumerate((4, 9, 3))]
    torch.optim.swa_utils.update_bn([torch.tensor(batch, dtype=torch.float64) for batch in batches], source)
    after = {key: value for key, value in source.state_dict().items() if "running" in key}
    return {
        "name": "update_bn",
        "values": {key: encode(value, "<f4") for key, value in values.items()},
        "batches": [encode(batch, "<f4") for batch in batches],
        "after": {key: encode(value.numpy(), "<f8") for key, value in after.items()},
    }


def averages():
    for text, decay in (("equal", None), ("decay 0.9", 0.9), ("decay 0.3", 0.3)):
        yield average(text, decay, False)
        yield average(f"{text}, buffers", decay, True)


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "test" / "golden"
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "optim.json", {"torch": torch.__version__}, "cases", list(cases()))
    write(folder / "clipping.json", {"torch": torch.__version__}, "cases", list(clippings()))
    header = {"torch": torch.__version__, "updateBatchNorm": update_bn()}
    write(folder / "averaging.json", header, "averages", list(averages()))


if __name__ == "__main__":
    main()

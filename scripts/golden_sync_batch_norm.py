#!/usr/bin/env python3
"""Writes test/golden/sync-batch-norm.json: PyTorch's own SyncBatchNorm cases, answered by its BatchNorm in float64.

    /usr/bin/python3 scripts/golden_sync_batch_norm.py [folder]

The cases are those of PyTorch's distributed tests: what several ranks feed to SyncBatchNorm, here joined into one batch.
"""

import sys
from pathlib import Path

import torch

from golden import encode, write

RANKS = 4


def f32(tensor):
    return encode(tensor.detach().numpy(), "<f4")


def f64(tensor):
    return encode(tensor.detach().numpy(), "<f8")


def generator(name):
    seed = sum(ord(c) * (i + 1) for i, c in enumerate(name))
    return torch.Generator().manual_seed(seed)


def normal(shape, g, mean=0.0, std=1.0):
    """float32 values, as the ranks have them, kept in float64."""
    return (mean + std * torch.randn(shape, generator=g, dtype=torch.float64)).float().double()


def answer(name, batches, *, momentum=0.1, affine=True, steps=1, layout="channels-first", gradients=True):
    """One case: the input of every rank, the same in each step, and what BatchNorm says of all of them joined."""
    g = generator(name)
    channels = batches[0].shape[1]
    dims = batches[0].dim()
    norm = {2: torch.nn.BatchNorm1d, 4: torch.nn.BatchNorm2d, 5: torch.nn.BatchNorm3d}[dims]
    norm = norm(channels, momentum=momentum, affine=affine).double()
    if affine:
        with torch.no_grad():
            norm.weight.copy_(normal((channels,), g, 1, 0.3))
            norm.bias.copy_(normal((channels,), g))
    x = torch.cat(batches).clone().requires_grad_(gradients)
    for _ in range(steps):
        y = norm(x)
    dy = normal(x.shape, g)
    sizes = [len(batch) for batch in batches]

    def as_stored(part):
        return part.movedim(1, -1) if layout == "channels-last" else part

    def split(tensor, encoded):
        return [encoded(as_stored(part)) for part in tensor.detach().split(sizes)]

    inputs = {"x": split(x, f32)}
    outputs = {
        "y": split(y, f64),
        "runningMean": f64(norm.running_mean),
        "runningVar": f64(norm.running_var),
    }
    if affine:
        inputs |= {"weight": f32(norm.weight), "bias": f32(norm.bias)}
    if gradients:
        y.backward(dy)
        inputs["dy"] = split(dy, f32)
        outputs["dx"] = split(x.grad, f64)
        if affine:
            outputs |= {"dweight": f64(norm.weight.grad), "dbias": f64(norm.bias.grad)}
    return {
        "name": name,
        "momentum": momentum,
        "affine": affine,
        "steps": steps,
        "layout": layout,
        "inputs": inputs,
        "outputs": outputs,
    }


def cases():
    # Rank i feeds 2·10^(i+1) constants; two series of them, momentum .99, over and over.
    for name, base in [("running value, tenths", 0.1), ("running value, three tenths", 0.3)]:
        batches = [
            torch.full((2, 1, 1, 10 ** (rank + 1)), base ** (rank - 1), dtype=torch.float64).float().double()
            for rank in range(3)
        ]
        # BatchNorm wants one tensor: positions go to the batch axis, one value each.
        batches = [batch.reshape(-1, 1, 1, 1) for batch in batches]
        yield answer(f"different input sizes: {name}", batches, momentum=0.99, steps=100, gradients=False)
    g = generator("sizes")
    yield answer("different input sizes: gradient", [normal((rank + 2, 3, 4, 4), g, 5, 2) for rank in range(RANKS)])
    yield answer("single input per process", [normal((1, 6, 1, 1), g) for _ in range(RANKS)])
    yield answer("no affine", [normal((3, 4, 5, 5), g, -1) for _ in range(RANKS)], affine=False)
    yield answer("2-D input", [normal((5, 7), g, 2, 3) for _ in range(RANKS)])
    yield answer("channels last", [normal((2, 5, 3, 4), g, 1) for _ in range(RANKS)], layout="channels-last")
    yield answer("channels last 3d", [normal((2, 4, 3, 2, 3), g, 1) for _ in range(2)], layout="channels-last")
    yield answer("sixteen beside eight, the first times fifty", [50 * normal((16, 3, 2, 2), g), normal((8, 3, 2, 2), g)])
    yield answer("average of all batches", [normal((2, 3, 3, 3), g) for _ in range(2)], momentum=None, steps=3)


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "test" / "golden"
    write(folder / "sync-batch-norm.json", {"torch": torch.__version__}, "cases", cases())

#!/usr/bin/env python3
"""Writes test/golden/l2-norm.json: torch.nn.functional.normalize and flash-linear-attention's l2norm, and their gradients in float64.

    /usr/bin/python3 scripts/golden_l2.py [folder]

As scripts/golden.py, whose encoding it uses. See test/golden/README.md for the format.
"""

import sys
import zlib
from pathlib import Path

from golden import encode, write  # first: it chooses torch's kernels

import numpy as np
import torch
import torch.nn.functional as F


def l2(x, axes, eps, mode):
    """F.normalize takes a single dim; over several, and with eps added, this is its formula, and fla's l2norm_ref."""
    if mode == "max" and len(axes) == 1:
        return F.normalize(x, dim=axes[0], eps=eps)
    squares = x.pow(2).sum(axes, keepdim=True)
    return x / (squares + eps).sqrt() if mode == "add" else x / squares.sqrt().clamp_min(eps)


def cases():
    yield "embeddings", ([5, 384], [1], 1e-12, "max", True, 1)
    yield "two elements", ([4, 2], [1], 1e-12, "max", False, 1)
    yield "two axes", ([3, 4, 5], [1, 2], 1e-12, "max", True, 1)
    yield "channels", ([2, 6, 3, 4], [1], 1e-12, "max", True, 1)
    yield "some lengths below eps", ([6, 9], [1], 3.0, "max", True, 1)
    yield "all lengths below eps", ([6, 9], [1], 1e-2, "max", False, 1e-4)
    yield "eps added", ([5, 64], [1], 1e-6, "add", True, 1)
    yield "a large eps added", ([5, 33], [1], 20.0, "add", True, 1)
    yield "channels, eps added", ([2, 6, 3, 4], [1], 1e-6, "add", False, 1)


def golden_case(name, shape, axes, eps, mode, affine, std):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    draw = lambda sizes, scale=1: (scale * rng.standard_normal(sizes)).astype(np.float32)
    sizes = [shape[axis] for axis in axes]
    inputs = {"x": draw(shape, std), "dy": draw(shape), **({"weight": 1 + draw(sizes, 0.5)} if affine else {})}
    tensors = {key: torch.tensor(value, dtype=torch.float64, requires_grad=True) for key, value in inputs.items()}
    y = l2(tensors["x"], axes, eps, mode)
    if affine:
        y = y * tensors["weight"].reshape([size if axis in axes else 1 for axis, size in enumerate(shape)])
    y.backward(tensors["dy"].detach())
    outputs = {"y": y.detach(), "dx": tensors["x"].grad, **({"dweight": tensors["weight"].grad} if affine else {})}
    encoded = lambda arrays, dtype: {key: encode(np.asarray(array), dtype) for key, array in arrays.items()}
    return {
        "name": name,
        "shape": shape,
        "axes": axes,
        "eps": eps,
        "epsMode": mode,
        "inputs": encoded(inputs, "<f4"),
        "outputs": encoded(outputs, "<f8"),
    }


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "test" / "golden"
    write(folder / "l2-norm.json", {"torch": torch.__version__}, "cases", [golden_case(name, *one) for name, one in cases()])


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes test/golden/local-response-norm.json: torch's local_response_norm and its gradient in float64.

    /usr/bin/python3 scripts/golden_response.py [folder]

As scripts/golden.py, whose encoding it uses. See test/golden/README.md for the format.
"""

import sys
import zlib
from pathlib import Path

from golden import encode, write  # first: it chooses torch's kernels

import numpy as np
import torch
import torch.nn.functional as F

LAYOUTS = ["channels-first", "channels-last"]


def shaped(layout, n, c, *spatial):
    return [n, c, *spatial] if layout == "channels-first" else [n, *spatial, c]


def spec(shape, size, layout="channels-first", alpha=1e-4, beta=0.75, k=1.0, dtype="f32", std=1):
    attributes = {"shape": shape, "layout": layout, "size": size, "alpha": alpha, "beta": beta, "k": k, "dtype": dtype}
    return attributes, std


def cases():
    for layout in LAYOUTS:
        yield f"{layout}, defaults, size 5", spec(shaped(layout, 2, 7, 3, 4), 5, layout)
        for size in (1, 2, 3, 4, 5, 8, 9, 20):
            yield f"{layout}, size {size}", spec(shaped(layout, 2, 11, 5), size, layout, alpha=1.0)
        for beta in (0.5, 0.75, 1.0, 0.6, 2.0):
            yield f"{layout}, beta {beta}", spec(shaped(layout, 1, 6, 2, 3), 3, layout, alpha=1.0, beta=beta, std=3)
        for k in (0.5, 2.0):
            yield f"{layout}, k {k}", spec(shaped(layout, 1, 6, 7), 4, layout, alpha=0.5, k=k)
        yield f"{layout}, AlexNet", spec(shaped(layout, 1, 24, 3, 3), 5, layout, alpha=5e-4, k=2.0, std=30)
        yield f"{layout}, three spatial axes", spec(shaped(layout, 2, 5, 2, 3, 2), 3, layout, alpha=1.0)
        yield f"{layout}, one channel", spec(shaped(layout, 2, 1, 6), 5, layout, alpha=1.0)
        for size in (4, 5, 12):
            shape = shaped(layout, 2, 9, 3, 3)
            yield f"{layout}, f16, size {size}", spec(shape, size, layout, alpha=1.0, dtype="f16", std=3)


def golden_case(name, attributes, std):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    storage = np.float16 if attributes["dtype"] == "f16" else np.float32
    draw = lambda scale: (scale * rng.standard_normal(attributes["shape"])).astype(storage).astype(np.float32)
    inputs = {"x": draw(std), "dy": draw(1)}
    last = attributes["layout"] == "channels-last"
    x = torch.tensor(inputs["x"], dtype=torch.float64, requires_grad=True)
    first = x.movedim(-1, 1) if last else x
    y = F.local_response_norm(first, *(attributes[key] for key in ("size", "alpha", "beta", "k")))
    y = y.movedim(1, -1) if last else y
    y.backward(torch.tensor(inputs["dy"], dtype=torch.float64))
    outputs = {"y": y.detach().numpy(), "dx": x.grad.numpy()}
    encoded = lambda arrays, dtype: {key: encode(array, dtype) for key, array in arrays.items()}
    return {"name": name, **attributes, "inputs": encoded(inputs, "<f4"), "outputs": encoded(outputs, "<f8")}


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "test" / "golden"
    entries = [golden_case(name, *attributes) for name, attributes in cases()]
    assert len({entry["name"] for entry in entries}) == len(entries), "two cases have one name"
    write(folder / "local-response-norm.json", {"torch": torch.__version__}, "cases", entries)


if __name__ == "__main__":
    main()

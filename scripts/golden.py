#!/usr/bin/env python3
"""Writes test/golden/: what PyTorch answers, in float64, on small float32 inputs; and how far its own float32 is off.

    apt-get install python3-torch python3-numpy
    /usr/bin/python3 scripts/golden.py [folder]

Runs twice to the same bytes on the same machine: fixed seeds (one per case, from its name), one thread, and always the
AVX2 kernels. See test/golden/README.md for the format.
"""

import base64
import itertools
import json
import os
import sys
import zlib
from pathlib import Path

# Other kernels sum in another order, which moves the last bits. PyTorch reads this when it is imported.
os.environ["ATEN_CPU_CAPABILITY"] = "avx2"

import numpy as np
import torch
import torch.nn.functional as F

torch.set_num_threads(1)

OFFSETS = [0, 100, 10_000, 100_000]  # |mean| / std of x
GRADIENTS = ["dx", "dweight", "dbias"]


# ---- The norms. Every function takes x as it is stored; `spec` is the case's attributes.


def leading(spec):
    """The axes in front of normalizedShape: they index the rows."""
    return spec["shape"][: len(spec["shape"]) - len(spec["normalizedShape"])]


def to_channels_first(x, spec):
    """A view [N, C, ...] of x, whatever its layout and whether or not it has a batch axis."""
    if spec.get("unbatched"):
        x = x.unsqueeze(0)
    return x.movedim(-1, 1) if spec["layout"] == "channels-last" else x


def from_channels_first(y, spec):
    if spec["layout"] == "channels-last":
        y = y.movedim(1, -1)
    return y.squeeze(0) if spec.get("unbatched") else y


def layer_norm(x, weight, bias, spec):
    shape = spec["normalizedShape"]
    weight = None if weight is None else weight.reshape(shape)
    bias = None if bias is None else bias.reshape(shape)
    return F.layer_norm(x, shape, weight, bias, spec["eps"])


def layer_norm_statistics(x, spec):
    _, mean, rstd = torch.native_layer_norm(x, spec["normalizedShape"], None, None, spec["eps"])
    return mean.reshape(leading(spec)), rstd.reshape(leading(spec))


def rms_rstd(x, spec):
    """torch.nn.RMSNorm came with 2.4: before that, and in float64 anyway, it is this formula."""
    axes = tuple(range(-len(spec["normalizedShape"]), 0))
    return torch.rsqrt(x.pow(2).mean(axes, keepdim=True) + spec["eps"])


def rms_norm(x, weight, bias, spec):
    xhat = x * rms_rstd(x, spec)
    if spec.get("casting") == "llama":
        # xhat is rounded to f16 before the weight: numpy rounds float64 to f16 in one step.
        xhat = torch.from_numpy(xhat.detach().numpy().astype(np.float16).astype(np.float64))
    return xhat if weight is None else xhat * (weight.reshape(spec["normalizedShape"]) + spec.get("weightOffset", 0))


def rms_norm_statistics(x, spec):
    return None, rms_rstd(x, spec).reshape(leading(spec))


def group_norm(x, weight, bias, spec):
    x = to_channels_first(x, spec)
    if x.dtype == torch.float64:
        # 1.13's channels-last kernel takes E[x^2] - E[x]^2: at offset 1e5 even its float64 is 4e-7 off.
        x = x.contiguous()
    if weight is None and bias is not None:
        weight = torch.ones_like(bias)  # torch 1.13's backward fails with a bias alone: "tensor does not have a device"
    return from_channels_first(F.group_norm(x, spec["groups"], weight, bias, spec["eps"]), spec)


def group_norm_statistics(x, spec):
    x = to_channels_first(x, spec).contiguous()
    n, c = x.shape[:2]
    _, mean, rstd = torch.native_group_norm(x, None, None, n, c, x[0, 0].numel(), spec["groups"], spec["eps"])
    return mean, rstd


def instance_norm(x, weight, bias, spec):
    frozen = [torch.tensor(values, dtype=x.dtype) for values in spec.get("frozen", {}).values()] or [None, None]
    first = to_channels_first(x, spec)
    y = F.instance_norm(first, *frozen, weight, bias, "frozen" not in spec, 0.0, spec["eps"])
    return from_channels_first(y, spec)


def instance_norm_statistics(x, spec):
    x = to_channels_first(x, spec)
    n, c = x.shape[:2]
    if "frozen" in spec:
        mean, variance = (torch.tensor(values, dtype=x.dtype).repeat(n, 1) for values in spec["frozen"].values())
        return mean, torch.rsqrt(variance + spec["eps"])
    _, mean, rstd = torch.native_batch_norm(
        x.reshape(1, n * c, -1), None, None, None, None, True, 0.0, spec["eps"]
    )
    shape = [c] if spec.get("unbatched") else [n, c]
    return mean.reshape(shape), rstd.reshape(shape)


def batch_norm(x, weight, bias, spec):
    first = to_channels_first(x, spec)
    if x.dtype == torch.float64:
        first = first.contiguous()  # as in group_norm
    frozen = [torch.tensor(values, dtype=x.dtype) for values in spec.get("frozen", {}).values()] or [None, None]
    return from_channels_first(F.batch_norm(first, *frozen, weight, bias, "frozen" not in spec, 0.0, spec["eps"]), spec)


def batch_norm_statistics(x, spec):
    if "frozen" in spec:
        mean, variance = (torch.tensor(values, dtype=x.dtype) for values in spec["frozen"].values())
        return mean, torch.rsqrt(variance + spec["eps"])
    first = to_channels_first(x, spec).contiguous()
    return torch.native_batch_norm(first, None, None, None, None, True, 0.0, spec["eps"])[1:]


NORMS = {
    "layerNorm": (layer_norm, layer_norm_statistics),
    "rmsNorm": (rms_norm, rms_norm_statistics),
    "addLayerNorm": (layer_norm, layer_norm_statistics),
    "addRmsNorm": (rms_norm, rms_norm_statistics),
    "groupNorm": (group_norm, group_norm_statistics),
    "instanceNorm": (instance_norm, instance_norm_statistics),
    "batchNorm": (batch_norm, batch_norm_statistics),
}


# ---- One case: inputs, the answers in float64, and the error of the same program in float32.


def storage(spec):
    return np.float16 if spec["dtype"] == "f16" else np.float32


def make_inputs(spec, seed):
    """float32 arrays; those of an f16 case hold f16 values."""
    rng = np.random.default_rng(seed)
    shape, affine = spec["shape"], spec["affine"]
    if "normalizedShape" in spec:
        channels, rows = spec["normalizedShape"], (int(np.prod(leading(spec), dtype=int)), -1)
    else:
        last = spec["layout"] == "channels-last"
        channels = [shape[-1 if last else (0 if spec.get("unbatched") else 1)]]
        rows = (1 if spec.get("unbatched") else shape[0], -1)

    def stored(values, dtype=storage(spec)):
        return np.asarray(values).astype(dtype).astype(np.float32)

    x = rng.standard_normal(shape) * spec.get("std", 1) + spec["offset"] * spec.get("std", 1)
    data = spec.get("data")
    if data == "outlier":  # the first element of the first row (or sample)
        x.reshape(rows)[0, 0] = 1e5 * spec.get("std", 1)
    elif data == "constant":  # the first row (or sample)
        x.reshape(rows)[0, :] = 5
    inputs = {"x": stored(x), "dy": stored(rng.standard_normal(shape))}
    parameters = np.float32 if spec["paramDtype"] == "f32" else np.float16
    centre = 1 - spec.get("weightOffset", 0)
    if "weight" in affine:
        inputs["weight"] = stored(centre + 0.5 * rng.standard_normal(channels), parameters)
    if "bias" in affine:
        inputs["bias"] = stored(rng.standard_normal(channels), parameters)
    if spec["op"].startswith("add"):
        inputs["residual"] = stored(rng.standard_normal(shape))
        inputs["dsum"] = stored(rng.standard_normal(shape))
    if spec.get("residual"):
        inputs["residual"] = stored(rng.standard_normal(shape))
    return inputs


ACTIVATIONS = {
    "relu": lambda z, spec: F.relu(z),
    "leakyRelu": lambda z, spec: F.leaky_relu(z, spec["negativeSlope"]),
    "relu6": lambda z, spec: F.relu6(z),
    "silu": lambda z, spec: F.silu(z),
    "gelu": lambda z, spec: F.gelu(z),
    "hardswish": lambda z, spec: F.hardswish(z),
}


def norm_input(inputs, spec):
    """x, or x + residual rounded to the storage type: the sum that is stored, returned and normalised."""
    if not spec["op"].startswith("add"):
        return inputs["x"]
    exact = inputs["x"].astype(np.float64) + inputs["residual"].astype(np.float64)
    return exact.astype(storage(spec)).astype(np.float32)


def run(h, inputs, spec, dtype):
    """Forward and backward by PyTorch in `dtype`: a dict of float64 arrays."""
    norm, _ = NORMS[spec["op"]]
    leaf = lambda array: torch.tensor(array, dtype=dtype, requires_grad=True)
    h = leaf(h)
    weight, bias = (leaf(inputs[name]) if name in inputs else None for name in ("weight", "bias"))
    y = norm(h, weight, bias, spec)
    residual = leaf(inputs["residual"]) if spec.get("residual") else None
    if residual is not None:
        y = y + residual
    if "activation" in spec:
        y = ACTIVATIONS[spec["activation"]](y, spec)
    outputs = {"y": y}
    if spec.get("casting") != "llama":  # rounding inside the forward pass has no derivative
        y.backward(torch.tensor(inputs["dy"], dtype=dtype))
        dx = h.grad
        outputs["dx"] = dx + torch.tensor(inputs["dsum"], dtype=dtype) if "dsum" in inputs else dx
        for name, parameter in (("dweight", weight), ("dbias", bias), ("dresidual", residual)):
            if parameter is not None:
                outputs[name] = parameter.grad
    return {name: value.detach().numpy().astype(np.float64) for name, value in outputs.items()}


def gradient_scales(h, inputs, spec):
    """The sizes of the terms that each gradient is a sum of: see test/reference/norm.ts."""
    h64 = torch.tensor(h, dtype=torch.float64)
    weight = torch.tensor(inputs["weight"], dtype=torch.float64) if "weight" in inputs else torch.ones(1)
    weight = weight + (spec.get("weightOffset", 0) if "weight" in inputs else 0)
    bare = {**spec, "weightOffset": 0}
    norm, statistics = NORMS[spec["op"]]
    xhat = norm(h64, None, None, bare)
    _, rstd = statistics(h64, spec)
    dy = torch.tensor(inputs["dy"], dtype=torch.float64)
    if "normalizedShape" in spec:
        ones = (1,) * len(spec["normalizedShape"])
        axes = tuple(range(len(leading(spec))))
        by_channel = weight.reshape(spec["normalizedShape"] if weight.numel() > 1 else ones)
        terms = rstd.reshape(*leading(spec), *ones) * by_channel * dy
        sums = lambda values: values.abs().sum(axes) if axes else values.abs()
    else:
        first = to_channels_first(dy, spec)
        n, c = first.shape[:2]
        spread = (1,) * (first.dim() - 2)
        rstd = rstd.expand(n, c) if spec["op"] == "batchNorm" else rstd
        per_channel = rstd.reshape(n, -1).repeat_interleave(c // (rstd.numel() // n), 1).reshape(n, c, *spread)
        by_channel = weight.reshape(1, -1, *spread)
        terms = from_channels_first(per_channel * by_channel * first, spec)
        sums = lambda values: to_channels_first(values, spec).transpose(0, 1).flatten(1).abs().sum(1)
    dx = terms.abs()
    if "dsum" in inputs:
        dx = dx + torch.tensor(inputs["dsum"], dtype=torch.float64).abs()
    return {"dx": dx.numpy(), "dweight": sums(dy * xhat).numpy(), "dbias": sums(dy).numpy()}


def float32_error(h, inputs, spec, answers):
    """||f32 - f64|| / ||f64||, the gradients relative to their terms."""
    single = run(h, inputs, spec, torch.float32)
    scales = {"y": answers["y"], **gradient_scales(h, inputs, spec)}
    norm = np.linalg.norm
    return {
        name: float(f"{norm((single[name] - answers[name]).ravel()) / norm(scales[name].ravel()):.3g}")
        for name in answers
        if name in scales and norm(scales[name]) > 1e-6  # xhat of a set of one element is 0, and so is dweight
    }


def solve(inputs, spec):
    h = norm_input(inputs, spec)
    outputs = run(h, inputs, spec, torch.float64)
    mean, rstd = NORMS[spec["op"]][1](torch.tensor(h, dtype=torch.float64), spec)
    if mean is not None:
        outputs["mean"] = mean.numpy()
    outputs["rstd"] = rstd.numpy()
    return h, outputs


def encode(array, dtype):
    array = np.asarray(array)
    data = base64.b64encode(np.ascontiguousarray(array, dtype=dtype).tobytes()).decode("ascii")
    return {"shape": list(array.shape), "dtype": "float32" if dtype == "<f4" else "float64", "base64": data}


def frozen_statistics(channels, offset, seed):
    """Running statistics for evaluation, exact in float32."""
    rng = np.random.default_rng(seed)
    mean = offset + rng.standard_normal(channels)
    variance = 0.1 + rng.standard_normal(channels) ** 2
    return {"mean": mean.astype(np.float32).tolist(), "variance": variance.astype(np.float32).tolist()}


def running_statistics(x, spec, momentum, seed):
    """What the float64 buffers of torch.nn's BatchNorm or InstanceNorm hold after one batch, x, and after four more."""
    rng = np.random.default_rng(seed)
    more = [(spec["offset"] + i + (i + 1) * rng.standard_normal(spec["shape"])).astype(np.float32) for i in range(1, 5)]
    batches = np.stack([x, *more])
    first = to_channels_first(torch.tensor(x, dtype=torch.float64), spec)
    if spec["op"] == "instanceNorm":
        modules = {3: torch.nn.InstanceNorm1d, 4: torch.nn.InstanceNorm2d, 5: torch.nn.InstanceNorm3d}
    else:
        modules = {
            2: torch.nn.BatchNorm1d,
            3: torch.nn.BatchNorm1d,
            4: torch.nn.BatchNorm2d,
            5: torch.nn.BatchNorm3d,
        }
    module = modules[first.dim()](first.shape[1], momentum=momentum, track_running_stats=True, dtype=torch.float64)
    after = []
    for batch in batches:
        module(to_channels_first(torch.tensor(batch, dtype=torch.float64), spec).contiguous())
        after.append((module.running_mean.numpy().copy(), module.running_var.numpy().copy()))
    assert module.num_batches_tracked == (0 if spec["op"] == "instanceNorm" else 5)
    mean, variance = (np.stack([after[0][i], after[4][i]]) for i in (0, 1))
    return {
        "momentum": momentum,
        "batches": encode(batches, "<f4"),
        "mean": encode(mean, "<f8"),
        "variance": encode(variance, "<f8"),
    }


def golden_case(name, spec):
    seed = zlib.crc32(f"{spec['op']} {name}".encode())
    if "frozen" in spec:
        channels = spec["shape"][-1 if spec["layout"] == "channels-last" else 1]
        spec = {**spec, "frozen": frozen_statistics(channels, spec["offset"], seed + 1)}
    running = [spec.pop("momentum")] if "momentum" in spec else []
    inputs = make_inputs(spec, seed)
    h, answers = solve(inputs, spec)
    outputs = {key: encode(value, "<f8") for key, value in answers.items()}
    if spec["op"].startswith("add"):
        outputs["sum"] = encode(h, "<f4")
    case = {
        "name": name,
        **spec,
        "inputs": {key: encode(value, "<f4") for key, value in inputs.items()},
        "outputs": outputs,
    }
    if spec.get("casting") != "llama" and "activation" not in spec:
        case["torchF32Error"] = float32_error(h, inputs, spec, answers)
    for momentum in running:
        case["running"] = running_statistics(inputs["x"], spec, momentum, seed + 2)
    return case


# ---- Which cases.

BOTH = ["weight", "bias"]


def spec(op, shape, offset=0, eps=1e-5, affine=None, dtype="f32", paramDtype="f32", **more):
    """The attributes of a case. The last axis is normalised unless normalizedShape or groups say otherwise."""
    rms = op in ("rmsNorm", "addRmsNorm")
    if op == "groupNorm":
        more = {"layout": "channels-first", **more}
    elif op in ("instanceNorm", "batchNorm"):
        more = {"layout": "channels-first", **more}
    else:
        more.setdefault("normalizedShape", [shape[-1]])
    affine = (["weight"] if rms else BOTH) if affine is None else affine
    return {
        "op": op,
        "kind": "rms" if rms else "moments",
        "shape": shape,
        "eps": eps,
        "offset": offset,
        "affine": affine,
        "dtype": dtype,
        "paramDtype": paramDtype,
        **more,
    }


def named(text, offset):
    return text if offset == 0 else f"{text}, offset {offset}"


def row_cases(op):
    """LayerNorm and RMSNorm, alone and behind a residual sum."""
    alone = not op.startswith("add")
    rms = op.endswith("RmsNorm") or op == "rmsNorm"
    yield "3x7", spec(op, [3, 7])
    for offset in OFFSETS:
        yield named("odd row", offset), spec(op, [2, 129], offset)
    yield "two leading axes", spec(op, [2, 3, 20])
    yield "outlier", spec(op, [2, 131], data="outlier")
    yield "constant row", spec(op, [2, 36], data="constant")
    if alone:
        yield "one row of 1023", spec(op, [1, 1023])
    else:
        yield "one row of 769, offset 10000", spec(op, [1, 769], 10_000)
    yield "rows of 5", spec(op, [7, 5])
    yield "rows of 1", spec(op, [5, 1])
    yield "no leading axis", spec(op, [33])
    yield "two axes", spec(op, [3, 4, 6], normalizedShape=[4, 6])
    yield "three axes", spec(op, [2, 3, 5, 4], normalizedShape=[3, 5, 4])
    yield "all axes", spec(op, [3, 5, 4], normalizedShape=[3, 5, 4])
    yield "no parameters", spec(op, [4, 19], affine=[])
    if not rms:
        yield "weight only", spec(op, [4, 19], affine=["weight"])
        yield "bias only", spec(op, [4, 19], affine=["bias"])
    yield "eps 1e-12", spec(op, [4, 19], eps=1e-12)
    yield "eps 0.5", spec(op, [4, 19], eps=0.5)
    yield "small values", spec(op, [4, 19], eps=1e-12, std=1e-4)
    yield "large values", spec(op, [4, 19], std=1e6)
    if rms:
        yield "weight offset 1", spec(op, [4, 19], eps=1e-6, weightOffset=1)


def f16_row_cases(op):
    rms = op.endswith("RmsNorm") or op == "rmsNorm"
    for parameters in ("f16", "f32"):
        half = {"dtype": "f16", "paramDtype": parameters}
        yield f"f16, {parameters} parameters", spec(op, [2, 67], **half)
        yield f"f16, {parameters} parameters, offset 100", spec(op, [2, 67], 100, **half)
    half = {"dtype": "f16", "paramDtype": "f16"}
    yield "f16, values to 60000", spec(op, [2, 38], std=15000, **half)
    if rms:
        yield "f16, llama casting", spec(op, [2, 64], eps=1e-6, casting="llama", **half)
        yield "f16, gemma casting", spec(op, [2, 64], eps=1e-6, casting="gemma", weightOffset=1, **half)


def group_cases():
    op = "groupNorm"
    layouts = ["channels-first", "channels-last"]

    def shaped(layout, n, c, *spatial):
        return [n, c, *spatial] if layout == "channels-first" else [n, *spatial, c]

    for layout, offset in itertools.product(layouts, OFFSETS):
        yield named(f"{layout}, two groups", offset), spec(op, shaped(layout, 2, 6, 3, 5), offset, groups=2, layout=layout)
    for layout, groups in itertools.product(layouts, [1, 3, 6]):
        yield f"{layout}, {groups} of 6 channels' groups", spec(op, shaped(layout, 2, 6, 5), groups=groups, layout=layout)
    for layout in layouts:
        yield f"{layout}, outlier", spec(op, shaped(layout, 2, 4, 3, 7), groups=2, layout=layout, data="outlier")
        yield f"{layout}, constant sample", spec(op, shaped(layout, 2, 4, 8), groups=2, layout=layout, data="constant")
        yield f"{layout}, three spatial axes", spec(op, shaped(layout, 2, 4, 3, 2, 5), groups=2, layout=layout)
        yield f"{layout}, odd sizes", spec(op, shaped(layout, 1, 10, 3, 7), groups=2, layout=layout)
        yield f"{layout}, eps 0.5", spec(op, shaped(layout, 2, 4, 9), groups=2, layout=layout, eps=0.5)
        yield f"{layout}, eps 1e-12", spec(op, shaped(layout, 2, 4, 9), groups=2, layout=layout, eps=1e-12)
        for parameters in ("f16", "f32"):
            half = {"dtype": "f16", "paramDtype": parameters, "groups": 2, "layout": layout}
            yield f"{layout}, f16, {parameters} parameters", spec(op, shaped(layout, 2, 4, 5, 5), **half)
            yield f"{layout}, f16, {parameters} parameters, offset 100", spec(op, shaped(layout, 1, 4, 5, 5), 100, **half)
    for groups in [1, 2, 4]:
        yield f"no spatial axis, {groups} groups", spec(op, [3, 8], groups=groups)
    yield "one long group", spec(op, [1, 2, 385], groups=1)
    for affine in [[], ["weight"], ["bias"]]:
        yield f"parameters: {affine[0] if affine else 'none'}", spec(op, [2, 4, 3, 3], groups=2, affine=affine)


def instance_cases():
    op = "instanceNorm"
    for offset in OFFSETS:
        yield named("2d", offset), spec(op, [2, 3, 5, 7], offset)
        yield named("channels-last", offset), spec(op, [2, 5, 7, 3], offset, layout="channels-last")
        yield named("2d, no parameters", offset), spec(op, [1, 3, 4, 5], offset, affine=[])
    yield "1d", spec(op, [1, 5, 33])
    yield "1d, no parameters", spec(op, [1, 5, 33], affine=[])
    yield "1d, long", spec(op, [1, 2, 385])
    yield "3d", spec(op, [2, 3, 3, 4, 5])
    yield "3d, no parameters", spec(op, [1, 3, 3, 4, 5], affine=[])
    yield "3d, channels-last", spec(op, [2, 3, 4, 5, 3], layout="channels-last")
    yield "1d, unbatched", spec(op, [3, 21], unbatched=True)
    yield "2d, unbatched", spec(op, [3, 5, 4], unbatched=True, affine=[])
    yield "3d, unbatched", spec(op, [3, 2, 5, 4], unbatched=True)
    yield "outlier", spec(op, [2, 2, 5, 13], data="outlier")
    yield "constant sample", spec(op, [2, 3, 16], data="constant")
    yield "eps 0.5", spec(op, [2, 3, 9], eps=0.5)
    yield "eps 1e-12", spec(op, [2, 3, 9], eps=1e-12)
    for parameters in ("f16", "f32"):
        half = {"dtype": "f16", "paramDtype": parameters}
        yield f"f16, {parameters} parameters", spec(op, [2, 3, 5, 7], **half)
        yield f"f16, {parameters} parameters, offset 100", spec(op, [2, 3, 5, 7], 100, **half)


def batch_cases():
    op = "batchNorm"
    last = {"layout": "channels-last"}
    for offset in OFFSETS:
        for text, more in (("training", {}), ("evaluation", {"frozen": {}})):
            yield named(f"{text}, 2d", offset), spec(op, [3, 4, 3, 5], offset, **more)
            yield named(f"{text}, 2d, channels-last", offset), spec(op, [3, 3, 5, 4], offset, **more, **last)
            yield named(f"{text}, two dimensions", offset), spec(op, [11, 5], offset, **more)
    for text, more in (("training", {}), ("evaluation", {"frozen": {}})):
        yield f"{text}, 1d", spec(op, [3, 5, 17], **more)
        yield f"{text}, 1d, channels-last", spec(op, [3, 17, 5], **more, **last)
        yield f"{text}, 3d", spec(op, [2, 3, 3, 2, 4], **more)
        yield f"{text}, one sample", spec(op, [1, 3, 5, 7], **more)
        yield f"{text}, one channel", spec(op, [4, 1, 9], **more)
        yield f"{text}, no parameters", spec(op, [3, 4, 9], affine=[], **more)
        yield f"{text}, weight only", spec(op, [3, 4, 9], affine=["weight"], **more)
        yield f"{text}, eps 0.5", spec(op, [3, 4, 9], eps=0.5, **more)
    yield "outlier", spec(op, [4, 3, 33], data="outlier")
    yield "constant sample", spec(op, [3, 4, 8], data="constant")
    yield "evaluation, eps 0", spec(op, [3, 4, 9], eps=0.0, frozen={})
    yield "evaluation, one value per channel", spec(op, [1, 5], frozen={})
    for momentum in (0.1, 0.0, 1.0, None, -1.2):
        for offset in (0, 10_000):
            yield named(f"momentum {momentum}", offset), spec(op, [2, 3, 2, 5], offset, momentum=momentum)
        yield f"momentum {momentum}, channels-last", spec(op, [2, 5, 3], momentum=momentum, **last)
    for parameters in ("f16", "f32"):
        for more in ({}, {"frozen": {}}):
            half = {"dtype": "f16", "paramDtype": parameters, **more}
            text = f"{'evaluation' if more else 'training'}, f16, {parameters} parameters"
            yield text, spec(op, [2, 3, 5, 5], **half)
            yield f"{text}, offset 100", spec(op, [2, 3, 5, 5], 100, **half)


def running_instance_cases():
    """InstanceNorm that tracks running statistics, and that uses them."""
    op = "instanceNorm"
    last = {"layout": "channels-last"}
    for offset in OFFSETS:
        yield named("evaluation, 2d", offset), spec(op, [2, 3, 5, 7], offset, frozen={})
        yield named("evaluation, 2d, channels-last", offset), spec(op, [2, 5, 7, 3], offset, frozen={}, **last)
        yield named("momentum 0.1", offset), spec(op, [3, 2, 3, 5], offset, momentum=0.1)
    yield "evaluation, 1d, no parameters", spec(op, [2, 3, 9], affine=[], frozen={})
    yield "evaluation, 3d", spec(op, [2, 3, 2, 3, 4], frozen={})
    yield "evaluation, eps 0.5", spec(op, [2, 3, 9], eps=0.5, frozen={})
    yield "momentum 1", spec(op, [2, 3, 9], momentum=1.0)
    yield "momentum 0.3, channels-last", spec(op, [2, 9, 3], momentum=0.3, **last)
    yield "momentum 0.3, 3d, one sample", spec(op, [1, 2, 3, 4, 5], momentum=0.3)


def epilogue_cases():
    """A norm with what follows it: an activation, behind a residual or not."""
    norms = {
        "layerNorm": [("rows", [2, 9], {})],
        "groupNorm": [("NCHW", [1, 4, 5], {"groups": 2}), ("NHWC", [1, 5, 4], {"groups": 2, "layout": "channels-last"})],
        "instanceNorm": [("NCHW", [2, 2, 5], {}), ("NHWC", [2, 5, 2], {"layout": "channels-last"})],
        "batchNorm": [
            ("NCHW, training", [3, 2, 3], {}),
            ("NHWC, training", [3, 3, 2], {"layout": "channels-last"}),
            ("NCHW, evaluation", [3, 2, 3], {"frozen": {}}),
            ("NHWC, evaluation", [3, 3, 2], {"layout": "channels-last", "frozen": {}}),
        ],
    }
    for op, shapes in norms.items():
        for activation, (text, shape, more), residual in itertools.product(ACTIVATIONS, shapes, [False, True]):
            attributes = {**more, "activation": activation}
            if activation == "leakyRelu":
                attributes["negativeSlope"] = 0.2
            if residual:
                attributes["residual"] = True
            offset = 100_000 if residual else 100
            yield f"{op}, {text}, {activation}{', residual' if residual else ''}", spec(op, shape, offset, **attributes)
        for text, shape, more in shapes:
            yield f"{op}, {text}, residual alone", spec(op, shape, residual=True, **more)
            half = {"dtype": "f16", "paramDtype": "f32", "activation": "silu", **more}
            yield f"{op}, {text}, silu, f16", spec(op, shape, **half)


FILES = {
    **{
        file: lambda op=op: itertools.chain(row_cases(op), f16_row_cases(op))
        for file, op in (
            ("layer-norm", "layerNorm"),
            ("rms-norm", "rmsNorm"),
            ("add-layer-norm", "addLayerNorm"),
            ("add-rms-norm", "addRmsNorm"),
        )
    },
    "group-norm": group_cases,
    "instance-norm": instance_cases,
    "batch-norm": batch_cases,
    "instance-norm-running": running_instance_cases,
    "epilogue": epilogue_cases,
}

# The float32 error of PyTorch is measured at the sizes of real models, which are too large to store.
ERROR_SHAPES = {
    **{(op, None): [([64, 768], {}), ([16, 4096], {}), ([8, 1023], {})] for op in list(NORMS)[:4]},
    ("groupNorm", "channels-first"): [
        ([4, 64, 16, 16], {"groups": 8}),
        ([2, 32, 33, 31], {"groups": 32}),
        ([1, 64, 32, 32], {"groups": 1}),
    ],
    ("groupNorm", "channels-last"): [
        ([4, 16, 16, 64], {"groups": 8}),
        ([2, 33, 31, 32], {"groups": 32}),
        ([1, 32, 32, 64], {"groups": 1}),
    ],
    ("instanceNorm", "channels-first"): [([4, 32, 16, 16], {}), ([2, 16, 33, 31], {}), ([2, 8, 64, 64], {})],
    ("instanceNorm", "channels-last"): [([4, 16, 16, 32], {}), ([2, 33, 31, 16], {}), ([2, 64, 64, 8], {})],
    ("batchNorm", "channels-first"): [([4, 32, 16, 16], {}), ([8, 16, 33, 31], {}), ([64, 128], {})],
    ("batchNorm", "channels-last"): [([4, 16, 16, 32], {}), ([8, 33, 31, 16], {}), ([2, 64, 64, 8], {})],
}
ERROR_SEEDS = 5


def error_summary():
    for (op, layout), shapes in ERROR_SHAPES.items():
        attributes = {"layout": layout} if layout else {}
        for offset in OFFSETS:
            found = {name: [] for name in ["y", *GRADIENTS]}
            for (shape, more), seed in itertools.product(shapes, range(ERROR_SEEDS)):
                case = spec(op, shape, offset, **more, **attributes)
                inputs = make_inputs(case, seed)
                h, answers = solve(inputs, case)
                for name, error in float32_error(h, inputs, case, answers).items():
                    found[name].append(error)
            yield {
                "op": op,
                **attributes,
                "offset": offset,
                "shapes": [shape for shape, _ in shapes],
                "runs": len(shapes) * ERROR_SEEDS,
                **{
                    name: {"median": float(f"{np.median(errors):.3g}"), "max": max(errors)}
                    for name, errors in found.items()
                    if errors
                },
            }


def write(path, header, key, entries):
    """One entry a line, so that a difference shows which case changed."""
    head = json.dumps(header)[:-1]
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
    path.write_text(f'{head}, "{key}": [\n{lines}\n]}}\n')
    print(f"{path}: {path.stat().st_size} bytes")


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "test" / "golden"
    folder.mkdir(parents=True, exist_ok=True)
    header = {"torch": torch.__version__}
    for file, cases in FILES.items():
        named_cases = list(cases())
        names = [name for name, _ in named_cases]
        assert len(set(names)) == len(names), f"two cases of {file} have one name"
        write(folder / f"{file}.json", header, "cases", [golden_case(name, attributes) for name, attributes in named_cases])
    about = {
        **header,
        "device": "CPU, AVX2 kernels",
        "measure": "||f32 - f64|| / ||f64|| on the same f32 inputs; dx relative to ||rstd * weight * dy|| (and dsum), "
        "dweight and dbias relative to their sums of absolute terms",
    }
    write(folder / "pytorch-error.json", about, "errors", list(error_summary()))


if __name__ == "__main__":
    main()

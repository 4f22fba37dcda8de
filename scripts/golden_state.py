#!/usr/bin/env python3
"""Writes test/golden/state-dict.safetensors and state-dict.json: a tree of norms as PyTorch saves it, and what its modules
answer; and test/golden/hooks.json: which hooks PyTorch calls with what.

    apt-get install python3-torch python3-numpy
    /usr/bin/python3 scripts/golden_state.py [folder]

See test/golden/README.md for the format.
"""

import json
import struct
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from golden import encode, write

import torch
from torch import nn


def stored(tensor):
    return encode(tensor, "<f4" if tensor.dtype == torch.float32 else "<f8")


class RMSNorm(nn.Module):
    """torch.nn.RMSNorm came with 2.4: this has its formula and its key."""

    def __init__(self, shape, eps):
        super().__init__()
        self.axes, self.eps = tuple(range(-len(shape), 0)), eps
        self.weight = nn.Parameter(torch.ones(shape))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(self.axes, keepdim=True) + self.eps) * self.weight


class FrozenBatchNorm2d(nn.Module):
    """torchvision's and detectron2's, neither of which Debian has: their buffers, version and formula."""

    _version = 3

    def __init__(self, features, eps=1e-5):
        super().__init__()
        self.eps = eps
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full([features], value))

    def forward(self, x):
        each = lambda values: values.reshape(1, -1, 1, 1)
        scale = each(self.weight * torch.rsqrt(self.running_var + self.eps))
        return x * scale + (each(self.bias) - each(self.running_mean) * scale)


def tree():
    """Every norm of the library with parameters or running statistics, in nested names."""
    net = nn.Module()
    net.stem = nn.Sequential(nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True))
    net.body = nn.Module()
    net.body.blocks = nn.Sequential(
        nn.Sequential(nn.BatchNorm1d(5), nn.InstanceNorm1d(5, affine=True)),
        nn.Sequential(nn.BatchNorm3d(3, eps=0.5), nn.InstanceNorm3d(3, affine=True)),
    )
    net.body.untracked = nn.BatchNorm1d(5, track_running_stats=False)
    net.body.bare = nn.BatchNorm1d(5, affine=False)
    net.body.tracking = nn.InstanceNorm2d(4, affine=True, track_running_stats=True)
    net.body.running = nn.InstanceNorm1d(5, track_running_stats=True)
    net.head = nn.Module()
    net.head.layer_norm = nn.LayerNorm([3, 5])
    net.head.plain = nn.LayerNorm(7, elementwise_affine=False)
    net.head.rms_norm = RMSNorm([7], 1e-6)
    net.batch_norm = nn.BatchNorm1d(6, momentum=None)
    net.frozen = FrozenBatchNorm2d(4)
    return net


SHAPES = {
    "stem.0": [2, 4, 3, 5],
    "stem.1": [2, 4, 3, 5],
    "stem.2": [2, 4, 3, 5],
    "body.blocks.0.0": [3, 5],
    "body.blocks.0.1": [2, 5, 6],
    "body.blocks.1.0": [2, 3, 2, 3, 2],
    "body.blocks.1.1": [2, 3, 2, 3, 2],
    "body.untracked": [4, 5],
    "body.bare": [4, 5, 2],
    "body.tracking": [2, 4, 3, 5],
    "body.running": [2, 5, 7],
    "head.layer_norm": [2, 3, 5],
    "head.plain": [3, 7],
    "head.rms_norm": [3, 7],
    "batch_norm": [4, 6],
    "frozen": [2, 4, 3, 5],
}


def fill(net):
    """Values that are not the initial ones; a count beyond 2^31."""
    for name, tensor in net.state_dict().items():
        if tensor.dtype == torch.int64:
            tensor.fill_(3_000_000_000 if name.startswith("stem") else 7)
        elif name.endswith("running_var"):
            tensor.copy_(torch.rand(tensor.shape) * 4 + 0.1)
        else:
            tensor.copy_(torch.randn(tensor.shape) * 2 + 1)


NAMES = {torch.float32: ("F32", 4), torch.float16: ("F16", 2), torch.int64: ("I64", 8)}


def safetensors(state, metadata):
    """The file that safetensors.torch.save_file writes: the widest dtype first, then by name."""
    entries = sorted(state.items(), key=lambda entry: (-NAMES[entry[1].dtype][1], entry[0]))
    header, data = {"__metadata__": metadata}, b""
    for name, tensor in entries:
        raw = tensor.numpy().tobytes()
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": NAMES[tensor.dtype][0], "shape": list(tensor.shape), "data_offsets": offsets}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def answers(net):
    """What every module of SHAPES answers in evaluation, in float64 on the same float32 values."""
    exact = tree().double()
    exact.load_state_dict({name: tensor.double() for name, tensor in net.state_dict().items()})
    exact.eval()
    for name, shape in SHAPES.items():
        x = torch.randn(shape) * 3 + 2
        y = exact.get_submodule(name)(x.double())
        yield {"name": name, "x": stored(x), "y": stored(y.detach())}


def hooked(net, log):
    """Registers every kind of hook on every module, each of which logs what it gets."""
    for name, module in net.named_modules():
        module.register_forward_pre_hook(
            lambda _, args, name=name: log.append(["forward-pre", name, stored(args[0].detach())])
        )
        module.register_forward_hook(
            lambda _, args, output, name=name: log.append(
                ["forward", name, stored(args[0].detach()), stored(output.detach())]
            )
        )
        module.register_full_backward_hook(
            lambda _, into, out, name=name: log.append(["backward", name, stored(into[0]), stored(out[0])])
        )


def hook_runs():
    """Three LayerNorms in nested Sequentials: hooks that only look, and hooks that replace."""
    shape = [4, 6]
    x, dy, other = torch.randn(shape), torch.randn(shape), torch.randn(shape)
    weights = [torch.randn(6), torch.randn(6), torch.randn(6)]

    def make():
        net = nn.Sequential(nn.LayerNorm(6), nn.Sequential(nn.LayerNorm(6), nn.LayerNorm(6))).double()
        for norm, weight in zip([net[0], *net[1]], weights):
            norm.weight.data.copy_(weight)
        return net

    def replace_input(net):
        net[1].register_forward_pre_hook(lambda *_: (other.double().requires_grad_(),))

    def replace_output(net):
        net[1][0].register_forward_hook(lambda *_: other.double().requires_grad_())

    def replace_gradient(net):
        net[1].register_full_backward_hook(lambda *_: (other.double(),))

    for name, replace in [
        ("nothing replaced", None),
        ("input replaced", replace_input),
        ("output replaced", replace_output),
        ("gradient replaced", replace_gradient),
    ]:
        net, log = make(), []
        if replace:
            replace(net)
        hooked(net, log)
        x64 = x.double().requires_grad_()
        y = net(x64)
        # What replaces an input or an output cuts the graph here, and does not there.
        if replace in (None, replace_gradient):
            y.backward(dy.double())
        yield {
            "name": name,
            "inputs": {"x": stored(x), "dy": stored(dy), "other": stored(other)},
            "weights": [stored(weight) for weight in weights],
            "y": stored(y.detach()),
            **({} if x64.grad is None else {"dx": stored(x64.grad)}),
            "calls": log,
        }


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "test" / "golden"
    torch.manual_seed(11)
    net = tree()
    fill(net)
    path = folder / "state-dict.safetensors"
    path.write_bytes(safetensors(net.state_dict(), {"format": "pt"}))
    print(f"{path}: {path.stat().st_size} bytes")
    header = {
        "torch": torch.__version__,
        "keys": list(net.state_dict()),
        "versions": {name: entry["version"] for name, entry in net.state_dict()._metadata.items()},
    }
    write(folder / "state-dict.json", header, "modules", list(answers(net)))
    write(folder / "hooks.json", {"torch": torch.__version__}, "runs", list(hook_runs()))


if __name__ == "__main__":
    main()

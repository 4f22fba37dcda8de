#!/usr/bin/env python3
"""The rows of bench/rows.ts in PyTorch: eager, and by torch.compile where it is there.

    python3 bench/pytorch.py --json bench/results/pytorch-<adapter>.json   on a GPU with CUDA, here called <adapter>
    python3 bench/pytorch.py --device cpu --quick --filter "layerNorm forward 4096"
    python3 bench/pytorch.py --list                                        needs no PyTorch

Writes what `npm run bench -- --json` writes: ms is eager, peers has torch.compile. Forward rows run without gradients, backward
rows differentiate the same forward again and again. Times are those of CUDA events around as many runs as fill a sample, or
of the wall clock on a CPU; the copy is tensor.copy_.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from datetime import datetime, timezone

ROWS = [[512, 4096], [4096, 1024], [16384, 256], [64, 65536], [65536, 64], [1024, 12288], [131072, 128], [8192, 8192], [1, 1048576]]
BATCHES = [[4, 3, 256, 256], [32, 256, 14, 14], [8, 64, 56, 56], [1, 2, 2048, 2048], [64, 64, 112, 112]]
FEATURES = [65536, 512]
SMALL_IMAGES = [[64, 512, 7, 7], [512, 512, 2, 2]]
GROUPS = [[8, 320, 64, 64], [2, 512, 128, 128]]
KEPT = [[8, 96, 56, 56], [1, 1024, 14, 14]]
INSTANCES = [[4, 3, 256, 256], [32, 256, 14, 14], [1, 32, 1048576]]
LAYOUTS = ["channels-first", "channels-last"]
BATCH_KINDS = [
    (True, False, "forward"),
    (True, False, "backward"),
    (True, False, "forward+backward"),
    (True, True, "forward"),
    (True, True, "backward"),
    (False, False, "forward"),
    (False, False, "backward"),
]
EPS = 1e-5
ON_CHIP = 16384


def in_layout(shape, layout):
    n, c, *spatial = shape
    return [n, c, *spatial] if layout == "channels-first" else [n, *spatial, c]


def bench_rows():
    """The same rows in the same order as bench/rows.ts, with f16."""
    for dtype in ["f32", "f16"]:
        for op in ["layerNorm", "rmsNorm", "addLayerNorm", "addRmsNorm"]:
            for direction in ["forward", "backward"]:
                for shape in ROWS:
                    yield dict(op=op, direction=direction, shape=shape, layout="channels-first", dtype=dtype)
        for direction in ["forward", "backward"]:
            for shape in KEPT:
                yield dict(op="layerNorm", direction=direction, shape=shape, layout="channels-first", dtype=dtype, axes=[1])
        for layout in LAYOUTS:
            for training, relu, direction in BATCH_KINDS:
                if direction == "forward+backward":
                    shapes = BATCHES[:3]
                else:
                    shapes = (SMALL_IMAGES if training and not relu else []) + BATCHES
                shapes = [in_layout(shape, layout) for shape in shapes]
                if layout == "channels-first" and direction != "forward+backward":
                    shapes.append(FEATURES)
                for shape in shapes:
                    kind = dict(training=training, relu=True) if relu else dict(training=training)
                    yield dict(op="batchNorm", direction=direction, shape=shape, layout=layout, dtype=dtype, **kind)
        for layout in LAYOUTS:
            for direction in ["forward", "backward"]:
                for shape in GROUPS:
                    shape = in_layout(shape, layout)
                    yield dict(op="groupNorm", direction=direction, shape=shape, layout=layout, dtype=dtype, groups=32)
                for shape in INSTANCES:
                    shape = in_layout(shape, layout)
                    yield dict(op="instanceNorm", direction=direction, shape=shape, layout=layout, dtype=dtype)


def row_name(row):
    kind = row.get("groups", "")
    if row["op"] == "batchNorm":
        kind = ("training" if row["training"] else "evaluation") + ("+relu" if row.get("relu") else "")
    if "axes" in row:
        kind = f"axes {','.join(map(str, row['axes']))}"
    kind = f"({kind})" if kind else ""
    last = " channels-last" if row["layout"] == "channels-last" else ""
    return f"{row['op']}{kind} {row['direction']} {'×'.join(map(str, row['shape']))}{last} {row['dtype']}"


def ideal_passes(row):
    """As idealPasses of bench/rows.ts."""
    once = {"forward": 2, "backward": 3, "forward+backward": 5}[row["direction"]]
    twice = {"forward": 3, "backward": 5, "forward+backward": 8}[row["direction"]]
    if row["op"] == "batchNorm":
        return twice if row["training"] else once
    if row["op"] in ("groupNorm", "instanceNorm"):
        shape = row["shape"]
        channels = shape[1 if row["layout"] == "channels-first" else -1]
        size = math.prod(shape) / (shape[0] * row.get("groups", channels))
        return twice if size > ON_CHIP else once
    return 4 if row["op"].startswith("add") else once


def ideal_bytes(row):
    return ideal_passes(row) * math.prod(row["shape"]) * (2 if row["dtype"] == "f16" else 4)


class Subject:
    """A row's inputs and what is run, in PyTorch."""

    def __init__(self, torch, row, device):
        self.torch, self.row = torch, row
        shape = row["shape"]
        kind = torch.float16 if row["dtype"] == "f16" else torch.float32
        # Only BatchNorm takes f32 parameters beside an f16 x.
        parameter_kind = torch.float32 if row["op"] == "batchNorm" else kind
        channels = shape[-1] if len(shape) == 2 or row["layout"] == "channels-last" else shape[1]
        generator = torch.Generator(device=device).manual_seed(1)

        def normal(size, mean=0.0, std=1.0, dtype=kind):
            return torch.randn(size, generator=generator, device=device).mul_(std).add_(mean).to(dtype)

        def whole():
            values = normal(shape)
            # PyTorch's shape has the channels second, whatever lies beside whatever in memory.
            return values.movedim(-1, 1) if row["layout"] == "channels-last" else values

        differentiates = row["direction"] != "forward"
        self.x, self.residual, self.dy = whole().requires_grad_(differentiates), whole(), whole()
        self.weight = normal(channels, 1.0, 0.1, parameter_kind).requires_grad_(differentiates)
        self.bias = normal(channels, 0.0, 0.1, parameter_kind).requires_grad_(differentiates)
        self.running = normal(channels, 0.0, 0.1, parameter_kind), normal(channels, 1.0, 0.1, parameter_kind).abs()

    def forward(self, x, residual, weight, bias):
        """The outputs that a caller keeps: y, or y and the sum."""
        functional, row = self.torch.nn.functional, self.row
        op, shape = row["op"], row["shape"]
        if op == "batchNorm":
            mean, variance = (statistic.to(weight.dtype) for statistic in self.running)
            y = functional.batch_norm(x, mean, variance, weight, bias, row["training"], 0.1, EPS)
            return (functional.relu(y) if row.get("relu") else y,)
        if op == "groupNorm":
            return (functional.group_norm(x, row["groups"], weight, bias, EPS),)
        if op == "instanceNorm":
            return (functional.instance_norm(x, weight=weight, bias=bias, eps=EPS),)
        if "axes" in row:
            # PyTorch normalizes trailing dimensions: the channels go there and back, as in ConvNeXt's channels_last.
            moved = x.permute(0, 2, 3, 1)
            return (functional.layer_norm(moved, shape[1:2], weight, bias, EPS).permute(0, 3, 1, 2),)
        total = x + residual if op.startswith("add") else x
        if op in ("layerNorm", "addLayerNorm"):
            y = functional.layer_norm(total, shape[1:], weight, bias, EPS)
        elif hasattr(functional, "rms_norm"):
            y = functional.rms_norm(total, shape[1:], weight, EPS)
        else:
            y = total * self.torch.rsqrt(total.pow(2).mean(-1, keepdim=True) + EPS) * weight
        return (y, total) if total is not x else (y,)

    def run(self, forward):
        """A function that does one run and returns its results."""
        torch, row = self.torch, self.row
        tensors = (self.x, self.residual, self.weight, self.bias)
        if row["direction"] == "forward":

            def run_forward():
                with torch.no_grad():
                    return forward(*tensors)

            return run_forward
        wanted = [self.x, self.weight] + ([] if "rms" in row["op"].lower() else [self.bias])

        def differentiate(outputs):
            # The sum has a gradient of its own: any numbers will do.
            gradients = (self.dy, self.residual)[: len(outputs)]
            return torch.autograd.grad(outputs, wanted, gradients, retain_graph=row["direction"] == "backward")

        if row["direction"] == "forward+backward":
            return lambda: differentiate(forward(*tensors))
        outputs = forward(*tensors)
        return lambda: differentiate(outputs)

    def error(self, results):
        """The largest relative error of the results, against the same in float64."""
        names = ("x", "residual", "dy", "weight", "bias")
        kept = {name: getattr(self, name) for name in names}
        for name, tensor in kept.items():
            setattr(self, name, tensor.detach().double().requires_grad_(tensor.requires_grad))
        expected = self.run(self.forward)()
        for name, tensor in kept.items():
            setattr(self, name, tensor)
        return max(float((a.double() - e).norm() / e.norm()) for a, e in zip(results, expected))


def timer(torch, device):
    """A function that times some runs, in milliseconds."""
    if device == "cpu":

        def wall(run, times):
            began = time.perf_counter()
            for _ in range(times):
                run()
            return 1e3 * (time.perf_counter() - began)

        return wall

    def events(run, times):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        for _ in range(times):
            run()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end)

    return events


def race(contestants, measure, timing):
    """Medians and spreads of contestants that take turns."""
    repeats = {}
    for name, run in contestants.items():
        for _ in range(3):
            run()
        once = measure(run, 3) / 3
        repeats[name] = max(1, min(timing["maxRepeats"], math.ceil(timing["sampleMs"] / max(once, 1e-6))))
    samples = {name: [] for name in contestants}
    for _ in range(timing["rounds"]):
        for name, run in contestants.items():
            samples[name].append(measure(run, repeats[name]) / repeats[name])
    return {
        name: dict(ms=sorted(all_)[len(all_) // 2], spread=[min(all_), max(all_)], repeats=repeats[name], samples=len(all_))
        for name, all_ in samples.items()
    }


def bench(torch, row, device, timing, compiles):
    subject = Subject(torch, row, device)
    contestants = {"eager": subject.run(subject.forward)}
    error = subject.error(contestants["eager"]())
    why = None
    if compiles:
        try:
            torch._dynamo.reset()
            compiled = subject.run(torch.compile(subject.forward))
            compiled()
            contestants["torch.compile"] = compiled
        except Exception as problem:  # noqa: BLE001: whatever the compiler throws costs its own figure only
            why = str(problem).splitlines()[0]
    source = torch.ones(max(1, ideal_bytes(row) // 8), device=device)
    target = torch.empty_like(source)
    contestants["copy"] = lambda: target.copy_(source)
    timings = race(contestants, timer(torch, device), timing)
    eager = timings["eager"]
    details = {"torch.compile": timings.get("torch.compile", dict(ms=None, why=why))} if compiles else {}
    fields = {"pass" if name == "direction" else name: value for name, value in row.items()}
    return dict(
        name=row_name(row),
        **fields,
        **eager,
        wallMs=eager["ms"],
        gbps=ideal_bytes(row) / eager["ms"] / 1e6,
        copyFraction=timings["copy"]["ms"] / eager["ms"],
        copy=dict(name="copy_", ms=timings["copy"]["ms"]),
        relError=error,
        judged="all",
        strategy="eager",
        peers={name: detail["ms"] for name, detail in details.items()},
        peerDetails=details,
    )


def git(*arguments):
    found = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return found.stdout.strip()


def command_of(options, device):
    """What gives the same results again."""
    words = [
        f"--device {device}" if device != "cuda" else "",
        f'--filter "{options.filter}"' if options.filter else "",
        "--quick" if options.quick else "",
        "--eager" if options.eager else "",
    ]
    return " ".join(["python3 bench/pytorch.py", *filter(None, words)])


def write(path, result):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1, ensure_ascii=False)
        file.write("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--filter", default="", help="only rows whose name contains all words")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter samples")
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    parser.add_argument("--json", help="write the results")
    parser.add_argument("--list", action="store_true", help="print the names of the rows, no more")
    options = parser.parse_args()
    rows = [row for row in bench_rows() if all(word in row_name(row) for word in options.filter.split())]
    if options.list:
        print("\n".join(map(row_name, rows)))
        return

    import torch

    device = options.device
    if device == "cuda" and not torch.cuda.is_available():
        print("There is no CUDA: on the CPU.", file=sys.stderr)
        device = "cpu"
    compiles = hasattr(torch, "compile") and not options.eager
    if compiles:
        import torch._functorch.config as functorch

        functorch.donated_buffer = False  # backward rows keep the graph
    timing = dict(rounds=3, sampleMs=30, maxRepeats=200) if options.quick else dict(rounds=7, sampleMs=100, maxRepeats=1000)
    commit = git("rev-parse", "--short", "HEAD") + (" with changes" if git("status", "--porcelain") else "")
    result = dict(
        adapter=torch.cuda.get_device_name() if device == "cuda" else "CPU",
        driver=f"CUDA {torch.version.cuda}" if device == "cuda" else "none",
        software=device == "cpu",
        f16=True,
        method="CUDA events" if device == "cuda" else "wall clock",
        engine="pytorch",
        version=f"PyTorch {torch.__version__}",
        cores=torch.get_num_threads(),
        commit=commit or "unknown",
        date=datetime.now(timezone.utc).isoformat(),
        command=command_of(options, device),
        timing=timing,
        peers=["torch.compile"] if compiles else [],
        rows=[],
        notRun=[],
        failures=[],
    )
    for row in rows:
        name = row_name(row)
        try:
            measured = bench(torch, row, device, timing, compiles)
        except RuntimeError as problem:  # no memory, or no f16 kernel on a CPU
            why = str(problem).splitlines()[0]
            result["notRun"].append(dict(name=name, notRun=why))
            print(f"{name} | not run: {why}", flush=True)
        else:
            result["rows"].append(measured)
            shares = [f"{measured['ms']:.4g} ms", f"{measured['gbps']:.4g} GB/s", f"{100 * measured['copyFraction']:.0f} %"]
            peers = [f"{peer} {ms:.4g} ms" for peer, ms in measured["peers"].items() if ms is not None]
            print(" | ".join([name, *shares, f"{measured['relError']:.1e}", *peers]), flush=True)
        finally:  # whatever ends the run, what it has measured so far is kept
            if options.json:
                write(options.json, result)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Turns a PyTorch state_dict into a safetensors file for webgpu-norm, and back.

    python3 pytorch_state.py model.pt model.safetensors
    python3 pytorch_state.py model.safetensors model.pt

Needs torch alone. A .pt file may hold a state_dict, a module, or a dict with one under "state_dict" or "model". The versions
in the state_dict's _metadata go along, so that both sides load by the same rules. Give --trust to load a .pt file that holds
more than tensors: it can run code.
"""

import argparse
import json
import math
import struct
from collections import OrderedDict

import torch

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
VERSIONS = "state_dict_versions"


def raw_bytes(tensor):
    flat = tensor.detach().cpu().contiguous().flatten()
    return bytes(flat.view(torch.uint8).numpy()) if flat.numel() else b""


def write_safetensors(state, path):
    # Wide elements first: then all are aligned.
    order = sorted(state, key=lambda name: -state[name].element_size())
    header, parts, at = {}, [], 0
    metadata = {"format": "pt"}
    versions = {name: entry["version"] for name, entry in getattr(state, "_metadata", {}).items() if "version" in entry}
    if versions:
        metadata[VERSIONS] = json.dumps(versions)
    header["__metadata__"] = metadata
    for name in order:
        tensor = state[name]
        if tensor.dtype not in NAMES:
            raise SystemExit(f"{name} is {tensor.dtype}, which safetensors has no name for.")
        data = raw_bytes(tensor)
        header[name] = {
            "dtype": NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [at, at + len(data)],
        }
        parts.append(data)
        at += len(data)
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(parts))


def read_safetensors(path):
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = file.read()
    metadata = header.pop("__metadata__", {})
    state = OrderedDict()
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        dtype = DTYPES[entry["dtype"]]
        count = math.prod(entry["shape"])
        flat = torch.frombuffer(bytearray(data[begin:end]), dtype=dtype) if count else torch.empty(0, dtype=dtype)
        state[name] = flat.reshape(entry["shape"])
    if VERSIONS in metadata:
        versions = json.loads(metadata[VERSIONS])
        state._metadata = OrderedDict((name, {"version": version}) for name, version in versions.items())
    return state


def read_torch(path, trust):
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=not trust)
    except Exception as error:
        raise SystemExit(f"{path} could not be loaded: {error}\nIf you trust it, give --trust.") from error
    if hasattr(loaded, "state_dict"):
        return loaded.state_dict()
    for name in ("state_dict", "model"):
        if isinstance(loaded.get(name), dict):
            return loaded[name]
    return loaded


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--trust", action="store_true", help="load pickles that hold more than tensors")
    options = parser.parse_args()
    if options.source.endswith(".safetensors"):
        torch.save(read_safetensors(options.source), options.target)
    else:
        write_safetensors(read_torch(options.source, options.trust), options.target)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""safetensors files by Python's standard library alone, against which src/io/safetensors.ts is tested.

    python3 safetensors_file.py write FILE   writes tensors of every dtype, and prints what they are
    python3 safetensors_file.py read FILE    checks a file in every point, and prints what is in it

Prints JSON: {"metadata": {...}, "tensors": {name: {"dtype", "shape", "values"}}}; 64-bit integers as text.
"""

import json
import math
import struct
import sys

# The letter of `struct` for an element, and its bytes. bf16 has none: its bits are read.
FORMATS = {
    "F64": ("d", 8),
    "F32": ("f", 4),
    "F16": ("e", 2),
    "BF16": ("H", 2),
    "I64": ("q", 8),
    "U64": ("Q", 8),
    "I32": ("i", 4),
    "U32": ("I", 4),
    "I16": ("h", 2),
    "U16": ("H", 2),
    "I8": ("b", 1),
    "U8": ("B", 1),
    "BOOL": ("B", 1),
}

SAMPLE = {
    "norm.weight": ("F32", [2, 3], [0.5, -0.0, 1e-45, 3.0e38, -1.25, 7.0]),
    "norm.num_batches_tracked": ("I64", [], [2**40 + 1]),
    "a": ("F16", [5], [1.0, -2.5, 65504.0, 6e-8, 0.0]),
    "b": ("U8", [3], [0, 7, 255]),
    "c": ("BOOL", [2, 1], [1, 0]),
    "d": ("F64", [1], [1e300]),
    "e": ("BF16", [2], [0x3F80, 0xC000]),
    "f": ("I8", [2], [-128, 127]),
    "g": ("U64", [1], [2**64 - 1]),
    "h": ("I32", [1], [-5]),
    "i": ("U32", [1], [2**32 - 1]),
    "j": ("I16", [2], [-3, 4]),
    "k": ("U16", [1], [65535]),
    "leer \u00e4\u4e2d\U0001f600 \"quoted\" \\ \n": ("F32", [0, 4], []),
}
METADATA = {"format": "pt", "text": "a \"b\" {c: [d]} \\ \u00e9"}


def pack(dtype, values):
    letter, _ = FORMATS[dtype]
    return struct.pack(f"<{len(values)}{letter}", *values)


def shown(dtype, values):
    return [str(value) for value in values] if dtype in ("I64", "U64") else list(values)


def write(path):
    # In this order, the elements of some tensors are not aligned.
    header, data, tensors = {"__metadata__": METADATA}, b"", {}
    for name, (dtype, shape, values) in SAMPLE.items():
        raw = pack(dtype, values)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
        letter, _ = FORMATS[dtype]
        stored = struct.unpack(f"<{len(values)}{letter}", raw)
        tensors[name] = {"dtype": dtype, "shape": shape, "values": shown(dtype, stored)}
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)
    return {"metadata": METADATA, "tensors": tensors}


def once(pairs):
    names = [name for name, _ in pairs]
    assert len(set(names)) == len(names), f"a key twice: {names}"
    return dict(pairs)


def read(path):
    with open(path, "rb") as file:
        raw = file.read()
    (size,) = struct.unpack_from("<Q", raw)
    assert size % 8 == 0, "the data are aligned to eight bytes"
    header = json.loads(raw[8 : 8 + size].decode(), object_pairs_hook=once)
    assert raw[8:9] == b"{"
    metadata = header.pop("__metadata__", {})
    data = raw[8 + size :]
    tensors, filled = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        letter, width = FORMATS[entry["dtype"]]
        count = math.prod(entry["shape"])
        assert begin == filled and begin % width == 0 and end - begin == count * width, (name, entry, filled)
        filled = end
        values = struct.unpack(f"<{count}{letter}", data[begin:end])
        tensors[name] = {**entry, "values": shown(entry["dtype"], values)}
        del tensors[name]["data_offsets"]
    assert filled == len(data), "nothing is left"
    return {"metadata": metadata, "tensors": {name: tensors[name] for name in header}}


if __name__ == "__main__":
    command, path = sys.argv[1:]
    json.dump({"write": write, "read": read}[command](path), sys.stdout)

#!/usr/bin/env python3
"""Loads a safetensors file into the modules of scripts/golden_state.py with PyTorch, strictly, and prints what they answer.

    /usr/bin/python3 torch_state.py FILE

Prints JSON: {name: values} for the inputs of test/golden/state-dict.json. Ends with 77 where there is no torch.
"""

import base64
import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # beside the tests
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

try:
    import torch
except ImportError:
    sys.exit(77)

import golden_state
import safetensors_file

DTYPES = {"F32": torch.float32, "F16": torch.float16, "I64": torch.int64}


def main():
    tensors = safetensors_file.read(sys.argv[1])["tensors"]
    state = {}
    for name, entry in tensors.items():
        values = [int(value) if entry["dtype"] == "I64" else value for value in entry["values"]]
        state[name] = torch.tensor(values, dtype=DTYPES[entry["dtype"]]).reshape(entry["shape"])
    net = golden_state.tree()
    net.load_state_dict(state)
    net.double().eval()
    golden = json.loads((Path(__file__).parents[1] / "golden" / "state-dict.json").read_text())
    answers = {}
    for module in golden["modules"]:
        stored = module["x"]
        x = torch.frombuffer(bytearray(base64.b64decode(stored["base64"])), dtype=torch.float32)
        y = net.get_submodule(module["name"])(x.reshape(stored["shape"]).double())
        answers[module["name"]] = y.detach().flatten().tolist()
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()

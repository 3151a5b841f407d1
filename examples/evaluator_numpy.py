"""Measures the network of run_numpy.py for isoloss: the protocol of docs/evaluator.md for JAX, Keras or your own code.

A tree of JAX is a dict with a path for each leaf, and `loss` is your jitted function."""

import json
import sys

import numpy as np
from safetensors.numpy import load_file

from run_numpy import inputs, loss, targets


def answer(kind, ask):
    global plane
    if kind == "hello":
        return {"ready": {"protocol": 1, "device": "numpy", "samples": {"train": len(inputs)}}}
    if kind == "plane":
        plane = [load_file(ask[row]) for row in ("origin", "x", "y")]
        return {"plane": {"id": ask["id"]}}
    if kind == "measure":
        origin, *rows = plane
        move = lambda name: sum(by * row[name] for by, row in zip(ask["at"], rows) if name in row)
        weights = {name: origin[name] + move(name) for name in origin}
    else:
        weights = load_file(ask["file"])
    found = loss(weights, inputs[:ask["samples"]], targets[:ask["samples"]])
    return {"measured": {"id": ask["id"], "loss": found if np.isfinite(found) else str(found)}}


for line in sys.stdin:
    (kind, ask), = json.loads(line).items()
    if kind == "stop":
        break
    print(json.dumps(answer(kind, ask)), flush=True)

"""Trains a small network in NumPy alone, which no graph carries; evaluator_numpy.py measures it for isoloss:

    python examples/run_numpy.py runs/numpy
    isoloss runs/numpy --evaluator 'python examples/evaluator_numpy.py'"""

import pathlib
import sys

import numpy as np
from safetensors.numpy import save_file

generator = np.random.default_rng(0)
inputs = generator.normal(size=(256, 2)).astype("f4")
targets = inputs[:, :1] * inputs[:, 1:]
shapes = {"w1": (2, 16), "b1": (16,), "w2": (16, 1), "b2": (1,)}


def forward(weights, x):
    hidden = np.tanh(x @ weights["w1"] + weights["b1"])
    return hidden, hidden @ weights["w2"] + weights["b2"]


def loss(weights, x, y):
    return float(np.mean((forward(weights, x)[1] - y) ** 2, dtype="f8"))


def gradient(weights, x, y):
    hidden, output = forward(weights, x)
    error = 2 * (output - y) / len(x)
    back = error @ weights["w2"].T * (1 - hidden**2)
    return {"w1": x.T @ back, "b1": back.sum(0), "w2": hidden.T @ error, "b2": error.sum(0)}


if __name__ == "__main__":
    run = pathlib.Path(sys.argv[1])
    run.mkdir(parents=True, exist_ok=True)
    weights = {name: generator.normal(size=shape).astype("f4") / 2 for name, shape in shapes.items()}
    for step in range(401):
        if step % 50 == 0:
            save_file(weights, run / f"step_{step:03}.safetensors")
        batch = generator.choice(256, 32, replace=False)
        for name, slope in gradient(weights, inputs[batch], targets[batch]).items():
            weights[name] -= 0.1 * slope
    print(loss(weights, inputs, targets))

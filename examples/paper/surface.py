"""Measures a surface by PyTorch, point by point, as the paper does, and by isoloss on the same directions; compares both:
python examples/paper/surface.py NETWORK CHECKPOINT [--runs runs/paper] [--isoloss isoloss]

f(α, β) = L(θ* + αδ + βη) (equation 1), with δ and η Gaussian, each filter of the norm of its filter of θ* and zero for
biases and batch norms, in evaluation mode, at every point of a grid. It needs safetensors."""

import argparse
import json
import pathlib
import subprocess
import tempfile
import time

import numpy
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import networks
import train


def direction(net, generator):
    """A random direction with the norms of the network's filters."""
    found = {}
    for name, weight in net.named_parameters():
        if weight.dim() <= 1:
            found[name] = torch.zeros_like(weight)
            continue
        random = torch.randn(weight.shape, generator=generator)
        filters, norms = random.flatten(1), weight.detach().flatten(1).norm(dim=1, keepdim=True)
        found[name] = (filters / (filters.norm(dim=1, keepdim=True) + 1e-10) * norms).view(weight.shape)
    return found


@torch.no_grad()
def surface(net, directions, axis, x, y):
    """Loss and accuracy at each point: rows are β, columns α."""
    centre = {name: weight.clone() for name, weight in net.named_parameters()}
    first, second = directions
    loss, accuracy = numpy.zeros((len(axis), len(axis))), numpy.zeros((len(axis), len(axis)))
    for j, beta in enumerate(axis):
        for i, alpha in enumerate(axis):
            for name, weight in net.named_parameters():
                weight.copy_(centre[name] + alpha * first[name] + beta * second[name])
            logits = torch.cat([net(part) for part in x.split(256)]).double()
            loss[j, i] = F.cross_entropy(logits, y).item()
            accuracy[j, i] = (logits.argmax(1) == y).double().mean().item()
    return loss, accuracy


def by_isoloss(options, directions, more):
    lines = options.lines
    command = [options.isoloss, "surface", options.checkpoint, "--model", options.network, "--directions", directions]
    command += ["--data", options.runs / "fashion-mnist.npz", "--samples", str(options.samples), "--order", "first"]
    command += ["--activation", "relu", "--mean", str(train.MEAN), "--std", str(train.STD)]
    command += [f"--x=-1:1:{lines}", f"--y=-1:1:{lines}", "--format", "json", "--no-cache", *more]
    begun = time.time()
    result = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return result, time.time() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("--runs", type=pathlib.Path, default="runs/paper")
    parser.add_argument("--isoloss", default="isoloss")
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--lines", type=int, default=51)
    options = parser.parse_args()
    net = networks.build(options.network).eval()
    net.load_state_dict(torch.load(options.checkpoint, weights_only=True)["model"])
    generator = torch.Generator().manual_seed(0)
    directions = [direction(net, generator) for _ in range(2)]
    arrays = dict(numpy.load(options.runs / "fashion-mnist.npz"))
    x, y = train.tensors(arrays, "train", options.samples)
    axis = numpy.linspace(-1, 1, options.lines)
    begun = time.time()
    loss, accuracy = surface(net, directions, axis, x, y)
    seconds = time.time() - begun
    print(f"PyTorch {torch.__version__}: {loss.size} points, {seconds:.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "directions.safetensors"
        save_file({f"{a}.{name}": d for a, one in zip("xy", directions) for name, d in one.items()}, path)
        for what, more in [("every point", ["--exact"]), ("where the picture asks for it", [])]:
            found, taken = by_isoloss(options, path, more)
            measured = numpy.array(found["measured"])
            own = numpy.array([[numpy.nan if v is None else v for v in row] for row in found["loss"]])
            share = numpy.array([[numpy.nan if v is None else v for v in row] for row in found["accuracy"]])
            off = numpy.nanmax(numpy.abs(own - loss)[measured] / loss[measured])
            between = numpy.abs(numpy.log(own) - numpy.log(loss)) / numpy.ptp(numpy.log(loss))
            print(
                f"isoloss, {what}: {found['evaluations']} points, {taken:.1f} s, {seconds / taken:.1f} times as fast; "
                f"at measured points loss off by at most {off:.1e} of itself, "
                f"accuracy by {numpy.nanmax(numpy.abs(share - accuracy)[measured]):.1e}; "
                f"at all points log-loss off by {100 * numpy.nanmean(between):.2f} % of its range"
            )


if __name__ == "__main__":
    main()

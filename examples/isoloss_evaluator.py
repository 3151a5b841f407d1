"""Measures the loss in your own PyTorch, on the CPU or a GPU. Copy this file beside a script of a few lines, eval.py:

    from isoloss_evaluator import serve
    serve(model, loss, {"train": train_loader, "test": test_loader}, score="accuracy")

and start `isoloss runs/my-run --evaluator 'python eval.py'`. `loss(model, batch)` returns the sum of the loss over the
batch, that of the score (None without one) and the number of samples. `model` is a module or a function that makes one
of a checkpoint's path; weights move in place, by their names in the state dict. With `grad=True` the loss may
differentiate by its inputs (PINNs). This is protocol 1 of isoloss's docs/evaluator.md."""

import json
import os
import sys

import torch
from torch.utils._pytree import tree_leaves, tree_map

length = lambda batch: len(next(filter(torch.is_tensor, tree_leaves(batch))))  # samples of a batch


def serve(model, loss, loaders, score=None, device=None, grad=False):
    """Answers isoloss until it closes stdin; `score` is accuracy, perplexity, r2 or None."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not stand between the answers
    answer = lambda **message: print(json.dumps(message), file=out, flush=True)
    for line in sys.stdin:
        (kind, ask), = json.loads(line).items()
        if kind == "hello":
            model = model if isinstance(model, torch.nn.Module) else model(ask["checkpoint"])
            asked = ask["device"] if ask["device"] != "auto" else next(model.parameters()).device
            model.to(device := torch.device(device or asked)).eval()
            torch.manual_seed(ask["seed"])  # a loader that shuffles gives the same samples after each start
            data = {split: gather(loader, ask["samples"], device) for split, loader in loaders.items()}
            counts = {split: sum(map(length, batches)) for split, batches in data.items()}
            answer(ready={"protocol": 1, "score": score, "device": str(device), "samples": counts})
        elif kind == "plane":
            plane = list(matched(model, *(read(ask[row], device) for row in ("origin", "x", "y"))))
            answer(plane={"id": ask["id"]})
        elif kind in ("measure", "weights"):
            rows = plane if kind == "measure" else matched(model, read(ask["file"], device), {}, {})
            alpha, beta = ask.get("at", (0, 0))
            try:
                with torch.no_grad():
                    for tensor, origin, x, y in rows:
                        tensor.copy_(origin + alpha * x + beta * y)
                with torch.set_grad_enabled(grad):
                    found = mean(model, loss, data[ask["split"]], ask["samples"], device)
                answer(measured={"id": ask["id"], **found})
            except RuntimeError as error:  # out of memory, for one
                answer(failed={"id": ask["id"], "why": str(error)})


def mean(model, loss, batches, left, device):
    """Returns the mean loss and score of the first samples; JSON has no NaN."""
    sums = [0.0, 0.0, 0.0]
    for batch in batches:
        if left > 0:
            found = loss(model, part(batch, left, device))
            sums = [total + float(float("nan") if x is None else x) for total, x in zip(sums, found)]
            left -= length(batch)
    means = zip(("loss", "score"), (total / sums[2] for total in sums))
    return {name: x if abs(x) < float("inf") else str(x) for name, x in means}


def matched(model, origin, x, y):
    """Yields each tensor of the model with its rows; names may have more in front on either side."""
    tensors = model.state_dict(keep_vars=True)
    for name, row in origin.items():
        own = [own for own in tensors if own == name] or [
            own for own in tensors if own.endswith("." + name) or name.endswith("." + own)]
        if len(own) != 1:
            raise ValueError(f"{name} of the checkpoint is {len(own)} tensors of the model, expected one")
        yield tensors[own[0]], row, x.get(name, 0.0), y.get(name, 0.0)


def read(path, device):
    with open(path, "rb") as file:  # safetensors: the length of a header, the header in JSON, the numbers
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        numbers = torch.frombuffer(bytearray(file.read() or 4), dtype=torch.float32).to(device)
    place = lambda info: slice(*(at // 4 for at in info["data_offsets"]))
    return {name: numbers[place(info)].view(info["shape"]) for name, info in header.items()}


def gather(loader, samples, device):
    """Takes batches with at most so many samples to the device."""
    batches, left = [], float("inf") if samples is None else samples
    for batch in loader:
        batches.append(part(batch, left, device))
        left -= length(batches[-1])
        if left <= 0:
            break
    return batches


def part(batch, count, device):
    """Returns the first samples of a batch on the device; what has no entry for each sample stays whole."""
    batch = dict(batch) if hasattr(batch, "keys") else batch
    size = length(batch)
    cut = lambda x: x[:min(count, size)] if x.ndim and len(x) == size else x
    return tree_map(lambda x: cut(x).to(device) if torch.is_tensor(x) else x, batch)

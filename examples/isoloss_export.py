"""Makes a training run speak for itself: copy this file beside your script and call it once.

    from isoloss_export import export
    export(model, train_loader, "runs/my-run", loss="cross-entropy", test=test_loader)

writes model.pt2, train.safetensors, test.safetensors and isoloss.toml into the run's folder; then `isoloss runs/my-run`
needs no flag. Samples are taken as the loader gives them. A batch is (inputs..., target), or a dict by forward's names
with the target as `target` or `labels`. `loss` is cross-entropy, nll, next-token, mse, l1, huber or bce, or "output" if
the model gives the loss itself: then all of the batch goes into forward. It needs torch alone."""

import ctypes
import inspect
import json
import os
import pathlib
import struct

import torch

TARGETS = ("target", "targets", "labels", "label", "y")
DTYPES = {torch.float32: "F32", torch.int64: "I64"}


def export(model, batches, folder, loss="cross-entropy", samples=1024, test=None, **settings):
    """Writes the files and returns their names; other settings go to isoloss.toml as they are.

    `batches` and `test` are a batch or a loader. An exception says in one sentence what could not be done."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    loss = loss.replace("_", "-").removesuffix("-loss")
    model = getattr(model, "_orig_mod", model)  # of torch.compile
    model = model.module if "Parallel" in type(model).__name__ else model
    splits = {split: gather(model, own, loss, samples)
              for split, own in [("train", batches), ("test", test)] if own is not None}
    exported = program(model, {name: x[:2] for name, x in splits["train"].items() if name != "target"})
    write(folder / "model.pt2", lambda path: torch.export.save(exported, path))
    for split, columns in splits.items():
        write(folder / f"{split}.safetensors", lambda path: save_tensors(columns, path))
    known = {"model": "model.pt2", "data": ".", "loss": loss, **settings}
    if "target" in splits["train"]:
        known["target"] = "target"
    lines = [f"{name.replace('_', '-')} = {json.dumps(value)}\n" for name, value in known.items()]
    write(folder / "isoloss.toml", lambda path: path.write_text("".join(lines)))
    return ["model.pt2", *(f"{split}.safetensors" for split in splits), "isoloss.toml"]


def program(model, two):
    """Exports the model in evaluation mode for any number of samples, and puts every module's mode back."""
    modes = {module: module.training for module in model.modules()}
    config = getattr(model, "config", None)
    cached = getattr(config, "use_cache", None)
    place = next((p.device for p in [*model.parameters(), *model.buffers()]), torch.device("cpu"))
    two = {name: x.to(place) for name, x in two.items()}
    try:
        if cached:
            config.use_cache = False  # a cache of keys and values is no tensor
        with torch.no_grad():
            shapes = {name: {0: torch.export.Dim.AUTO} for name in two}
            exported = torch.export.export(model.eval(), (), two, dynamic_shapes=shapes)
        sizes = [node.meta["val"].shape[0] for node in exported.graph.nodes if node.name in two]
        if any(str(size).isdigit() for size in sizes):
            raise ValueError("forward has the batch size written in, use x.shape[0] there")
    except Exception as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RuntimeError(f"{type(model).__name__} cannot be exported: {why}") from error
    finally:
        if cached:
            config.use_cache = cached
        for module, mode in modes.items():
            module.training = mode
    return exported


def gather(model, batches, loss, samples):
    """Takes samples as columns on the CPU, float32 or int64, by the names of forward's arguments, and `target`."""
    tensors = isinstance(batches, (tuple, list)) and all(map(torch.is_tensor, batches))
    parts, count = {}, 0
    for batch in [batches] if tensors or hasattr(batches, "items") else batches:
        columns = named(model, batch, loss)
        for name, x in columns.items():
            x = x[:samples - count].detach().cpu()
            x = x.to(torch.float32 if x.is_floating_point() else torch.int64)
            parts.setdefault(name, []).append(x.contiguous())
        count += len(next(iter(columns.values())))
        if count >= samples:
            break
    if count < 2:
        raise ValueError(f"{count} samples, expected two or more")
    return {name: torch.cat(x) for name, x in parts.items()}


def named(model, batch, loss):
    """Names what a batch holds by forward's arguments; what the loss compares with is `target`."""
    arguments = list(inspect.signature(model.forward).parameters)
    if hasattr(batch, "items"):
        batch = {name: x for name, x in batch.items() if torch.is_tensor(x)}
        target = next((name for name in TARGETS if name in batch and loss != "output"), None)
        columns = {name: x for name, x in batch.items() if name in arguments and name != target}
        return columns if target is None else {**columns, "target": batch[target]}
    *inputs, last = batch if isinstance(batch, (tuple, list)) else (batch,)
    names = arguments if loss == "output" or not inputs else [*arguments[:len(inputs)], "target"]
    return dict(zip(names, [*inputs, last]))


def save_tensors(tensors, path):
    """Writes the safetensors format: the length of a header, the header in JSON, the numbers."""
    header, end = {}, 0
    for name, x in tensors.items():
        start, end = end, end + x.nbytes
        header[name] = {"dtype": DTYPES[x.dtype], "shape": list(x.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    numbers = b"".join(ctypes.string_at(x.data_ptr(), x.nbytes) for x in tensors.values())
    path.write_bytes(struct.pack("<Q", len(text)) + text + numbers)


def write(path, save):
    """Saves under another name first, so that nobody reads half of a file."""
    part = path.with_name(f".{path.name}.part{path.suffix}")
    save(part)
    os.replace(part, path)

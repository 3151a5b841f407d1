"""Makes a training run speak for itself: copy this file beside your script and call it once.

    from isoloss_export import export
    export(model, train_loader, "runs/my-run", loss="cross-entropy", test=test_loader)

writes model.pt2, train.safetensors, test.safetensors and isoloss.toml into the run's folder; then `isoloss runs/my-run`
needs no flag. Samples are as the loader (or one batch in its place) gives them: (inputs..., target), or a dict by forward's
names with `target` or `labels`. With the loss "output" all of the batch goes into forward, which gives the loss itself."""

import ctypes
import inspect
import json
import os
import pathlib
import tempfile

import torch

TARGETS = ("target", "targets", "labels", "label", "y")
DTYPES = {torch.float32: "F32", torch.int64: "I64", torch.bool: "BOOL"}


def export(model, batches, folder, loss="cross-entropy", samples=1024, test=None, **settings):
    """Writes the files, other settings into isoloss.toml. An exception says in a sentence what could not be done."""
    loss = str(loss).lower().replace("_", "-").removesuffix("-loss")
    if loss not in (losses := ["cross-entropy", "nll", "next-token", "mse", "l1", "huber", "bce", "output"]):
        raise ValueError(f"loss is one of {', '.join(losses)}, found {loss}")
    while type(model).__name__ in ("OptimizedModule", "DataParallel", "DistributedDataParallel"):
        model = next(model.children())
    names = list(inspect.signature(getattr(model, "get_base_model", lambda: model)().forward).parameters)  # of peft
    loaders = {"train": batches} if test is None else {"train": batches, "test": test}
    with torch.random.fork_rng(devices=[]):  # a loader may shuffle: training goes on as if nobody had looked
        splits = {split: gather(loader, names, loss, samples) for split, loader in loaders.items()}
    join(splits, getattr(getattr(model, "config", None), "pad_token_id", None) or 0)
    two = {name: x[:2] for name, x in splits["train"].items() if name != "target"}
    exported = program(model, two, {"use_cache": False} if "use_cache" in names else {})  # a cache is no tensor
    settings = {"model": "model.pt2", "data": ".", "loss": loss, **settings}
    lines = [f"{name.replace('_', '-')} = {json.dumps(x, default=torch.Tensor.tolist)}\n" for name, x in settings.items()]
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as part:  # so that nobody reads half of a file
        torch.export.save(exported, f"{part}/model.pt2")
        for split, columns in splits.items():
            save_tensors(columns, f"{part}/{split}.safetensors")
        pathlib.Path(part, "isoloss.toml").write_text("".join(lines))
        for name in sorted(os.listdir(part), reverse=True):  # the settings last
            os.replace(f"{part}/{name}", f"{folder}/{name}")


def program(model, two, fixed):
    """Exports the model in evaluation mode for any number of samples, and puts every module's mode back."""
    modes = {module: module.training for module in model.modules()}
    like = next((x for x in [*model.parameters(), *model.buffers()] if x.is_floating_point()), torch.zeros(()))
    two = {name: x.to(like if x.is_floating_point() else like.device) for name, x in two.items()}
    shapes = {**{name: {0: torch.export.Dim.AUTO} for name in two}, **dict.fromkeys(fixed)}
    try:
        exported = torch.export.export(model.eval(), (), {**two, **fixed}, dynamic_shapes=shapes)
        if any("aten.copy_." in str(node.target) for node in exported.graph.nodes):
            exported = exported.run_decompositions({})  # a write into a part of a tensor, which isoloss refuses
        if any(str(node.meta["val"].shape[0]).isdigit() for node in exported.graph.nodes if node.name in two):
            raise ValueError("forward has the batch size written in, use x.shape[0] there")
    except Exception as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RuntimeError(f"{type(model).__name__} cannot be exported: {why}") from error
    finally:
        for module, mode in modes.items():
            module.training = mode
    return exported


def gather(batches, names, loss, samples):
    """Takes samples of a loader or a batch, on the CPU and in one of three types, by the names that they get."""
    tensors = isinstance(batches, (tuple, list, torch.Tensor)) and all(map(torch.is_tensor, batches))
    rows = {}
    for batch in [batches] if tensors or hasattr(batches, "items") else batches:
        for name, x in named(batch, names, loss).items():
            kind = torch.float32 if x.is_floating_point() else torch.bool if x.dtype == torch.bool else torch.int64
            rows.setdefault(name, []).extend(x[:samples].detach().to("cpu", kind))
        if min(map(len, rows.values())) >= samples:
            break
    if min(map(len, rows.values()), default=0) < 2:
        raise ValueError("expected two samples or more")
    return {name: x[:samples] for name, x in rows.items()}


def named(batch, names, loss):
    """Names what a batch holds by forward's arguments; what the loss compares with is `target`."""
    if hasattr(batch, "items"):
        target = next((name for name in TARGETS if name in batch and loss != "output"), None)
        found = {name: x for name, x in batch.items() if torch.is_tensor(x)}
        columns = {"target" if name == target else name: x for name, x in found.items() if name in [*names, target]}
    else:
        found = {i: x for i, x in enumerate(torch.utils._pytree.tree_leaves(batch)) if torch.is_tensor(x)}
        inputs = len(found) if loss == "output" else max(len(found) - 1, 1)
        columns = dict(zip([*names[:inputs], "target"], found.values())) if inputs <= len(names) else {}
    if not set(columns) - {"target"} or "args" in names:
        raise ValueError(f"batches are (inputs..., target) or a dict; forward takes {names}, found {list(found)}")
    return columns


def join(splits, token):
    """Makes columns of samples; shorter ones are filled at their end, which an attention_mask tells the model."""
    for name in splits["train"]:
        rows = [row for own in splits.values() for row in own[name]]
        if len({row.shape for row in rows}) > 1 and not ("attention_mask" in splits["train"] and rows[0].dim() == 1):
            raise ValueError(f"samples of {name} differ in shape: fill them to one length")
        fill = {"input_ids": token, "target": -100, "labels": -100}.get(name, 0)
        column = torch.nn.utils.rnn.pad_sequence(rows, True, fill) if rows[0].dim() else torch.stack(rows)
        for own in splits.values():
            own[name], column = column[:len(own[name])], column[len(own[name]):]


def save_tensors(tensors, path):
    """Writes the safetensors format: the length of a header, the header in JSON, the numbers."""
    header, numbers = {}, bytearray()
    for name, x in tensors.items():
        place = [len(numbers), len(numbers) + x.nbytes]
        header[name] = {"dtype": DTYPES[x.dtype], "shape": list(x.shape), "data_offsets": place}
        numbers += ctypes.string_at(x.data_ptr(), x.nbytes)
    text = json.dumps(header).encode()
    pathlib.Path(path).write_bytes(len(text).to_bytes(8, "little") + text + numbers)

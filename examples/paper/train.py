"""Trains the networks whose pictures docs/paper.md shows: python examples/paper/train.py [NAME ...] [--out runs/paper]

About four hours on two cores, without a GPU. Each run is a folder of checkpoints, one an epoch, with training's log and a
manifest; a run that has its manifest is not trained again, one that was stopped begins anew. A NAME may be the beginning
of several ("vgg9-sgd"), but that of a run means it alone; without any, all are trained. Seeds are fixed: the same PyTorch on the same processor gives the same
weights."""

import argparse
import csv
import dataclasses
import gzip
import json
import math
import pathlib
import shutil
import struct
import sys
import time

import numpy
import torch
import torch.nn.functional as F

import networks

DEBIAN = "/usr/share/datasets/fashion-mnist"
IMAGES, MEAN, STD = 10_000, 0.2860, 0.3530
# Test images of each row of the log; the manifest's are all.
LOGGED = 2000


@dataclasses.dataclass
class Run:
    """How a network is trained. `batch` 1640 is the share of the images that 8192 is in the paper, and `bfloat16` is
    PyTorch's autocast, because it halves the time of networks that would take more than half an hour."""

    network: str
    batch: int = 128
    weight_decay: float = 5e-4
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    epochs: int = 12
    images: int = IMAGES
    bfloat16: bool = False
    seed: int = 0

    @property
    def smaller(self):
        """What is smaller than in the paper, which has 50,000 images of 32×32 in colour with augmentation, and 300 epochs."""
        narrower = {"vgg9": ["a quarter as wide"], "densenet121": ["growth 8 for 32"]}.get(self.network, [])
        return [f"{self.images} images of 28×28 in grey, without augmentation", f"{self.epochs} epochs", *narrower]

    @property
    def drops(self):
        """Epochs after which the learning rate falls to a tenth, as in the paper: 1/2, 3/4 and 11/12 of all."""
        return [self.epochs // 2, self.epochs * 3 // 4, self.epochs * 11 // 12]


def vgg(batch, weight_decay, optimizer, learning_rate):
    return Run("vgg9", batch, weight_decay, optimizer, learning_rate, epochs=60)


RUNS = {
    **{
        f"vgg9-{optimizer}-{batch}-wd{weight_decay:g}": vgg(batch, weight_decay, optimizer, learning_rate)
        for optimizer, learning_rate in [("sgd", 0.1), ("adam", 1e-3)]
        for weight_decay in [0.0, 5e-4]
        for batch in [128, 1640]
    },
    "resnet20": Run("resnet20"),
    "resnet20-noshort": Run("resnet20-noshort"),
    "resnet56": Run("resnet56"),
    "resnet56-noshort": Run("resnet56-noshort"),
    "resnet110": Run("resnet110", epochs=8, bfloat16=True),
    "resnet110-noshort": Run("resnet110-noshort", epochs=8, bfloat16=True),
    "wrn20-2": Run("wrn20-2", bfloat16=True),
    "wrn20-2-noshort": Run("wrn20-2-noshort", bfloat16=True),
    "wrn20-4": Run("wrn20-4", bfloat16=True),
    "wrn20-4-noshort": Run("wrn20-4-noshort", bfloat16=True),
    "densenet121": Run("densenet121", bfloat16=True),
}


def idx(path):
    """Reads an idx file, packed or not."""
    path = path if path.exists() else path.with_name(path.name + ".gz")
    if not path.exists():
        sys.exit(f"{path}: not there; --data names the folder of Fashion-MNIST (Debian's package dataset-fashion-mnist)")
    data = (gzip.open if path.suffix == ".gz" else open)(path, "rb").read()
    sizes = struct.unpack(f">{data[3]}I", data[4 : 4 + 4 * data[3]])
    return numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * data[3]).reshape(sizes)


def images(folder, out):
    """Takes the first images of Fashion-MNIST, and writes them where isoloss reads them: it measures what was trained."""
    arrays = {
        name: idx(pathlib.Path(folder) / f"{prefix}-{kind}-ubyte")
        for name, prefix, kind in [
            ("x_train", "train", "images-idx3"),
            ("y_train", "train", "labels-idx1"),
            ("x_test", "t10k", "images-idx3"),
            ("y_test", "t10k", "labels-idx1"),
        ]
    }
    arrays = {name: array[:IMAGES] for name, array in arrays.items()}
    numpy.savez_compressed(out / "fashion-mnist.npz", **arrays)
    return arrays


def tensors(arrays, split, count):
    x = torch.from_numpy(arrays[f"x_{split}"][:count].copy()).float().div(255).sub(MEAN).div(STD)
    return x[:, None], torch.from_numpy(arrays[f"y_{split}"][:count].copy()).long()


@torch.no_grad()
def measured(net, x, y):
    """Mean loss and share of errors in evaluation mode."""
    net.eval()
    logits = torch.cat([net(part) for part in x.split(500)])
    return F.cross_entropy(logits, y).item(), (logits.argmax(1) != y).float().mean().item()


def optimizer_of(run, net):
    if run.optimizer == "adam":
        return torch.optim.Adam(net.parameters(), run.learning_rate, weight_decay=run.weight_decay)
    return torch.optim.SGD(
        net.parameters(), run.learning_rate, momentum=0.9, nesterov=True, weight_decay=run.weight_decay
    )


def train(name, run, arrays, folder):
    torch.manual_seed(run.seed)
    net = networks.build(run.network)
    optimizer = optimizer_of(run, net)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, run.drops, 0.1)
    (x, y), test = tensors(arrays, "train", run.images), tensors(arrays, "test", IMAGES)
    few = [part[:LOGGED] for part in test]
    begun, losses = time.time(), []
    with open(folder / "metrics.csv", "w", newline="") as file:
        log = csv.writer(file)
        log.writerow(["epoch", "train_loss", "test_loss", "test_error", "learning_rate"])
        for epoch in range(run.epochs + 1):
            test_loss, test_error = measured(net, *few)
            rate = optimizer.param_groups[0]["lr"]
            mean = sum(losses) / len(losses) if losses else ""
            log.writerow([epoch, mean, test_loss, test_error, rate])
            file.flush()
            torch.save({"epoch": epoch, "model": net.state_dict()}, folder / f"epoch={epoch:02}.pt")
            if epoch == run.epochs or (losses and not math.isfinite(mean)):
                break
            losses = train_epoch(net, optimizer, x, y, run)
            schedule.step()
    (train_loss, train_error), (test_loss, test_error) = measured(net, x, y), measured(net, *test)
    manifest = {
        "name": name,
        **dataclasses.asdict(run),
        "drops": run.drops,
        "smaller_than_the_paper": run.smaller,
        "parameters": sum(p.numel() for p in net.parameters()),
        "train_loss": train_loss,
        "train_error": train_error,
        "test_loss": test_loss,
        "test_error": test_error,
        "seconds": round(time.time() - begun),
        "torch": torch.__version__,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    print(f"{name}: test error {100 * test_error:.2f} %, {manifest['seconds']} s", flush=True)


def train_epoch(net, optimizer, x, y, run):
    net.train()
    losses = []
    for chosen in torch.randperm(len(x)).split(run.batch):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=run.bfloat16):
            loss = F.cross_entropy(net(x[chosen]), y[chosen])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def chosen_runs(names):
    """The runs that are called so, or begin so where none is; an error for a name of neither kind."""
    chosen = {}
    for name in names or [""]:
        found = [name] if name in RUNS else [run for run in RUNS if run.startswith(name)]
        if not found:
            sys.exit(f"{name}: no such run; there are {', '.join(RUNS)}")
        chosen.update((run, RUNS[run]) for run in found)
    return chosen


def positive(text):
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {text}")
    return int(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="runs, or beginnings of their names")
    parser.add_argument("--data", default=DEBIAN, help="folder of Fashion-MNIST's idx files")
    parser.add_argument("--out", default="runs/paper", type=pathlib.Path)
    parser.add_argument("--epochs", type=positive, help="fewer, to try it out")
    parser.add_argument("--images", type=positive, help="fewer, to try it out")
    options = parser.parse_args()
    chosen = chosen_runs(options.names)
    options.out.mkdir(parents=True, exist_ok=True)
    arrays = images(options.data, options.out)
    for name, run in chosen.items():
        fewer = {key: value for key in ("epochs", "images") if (value := getattr(options, key))}
        folder = options.out / name
        if (folder / "manifest.json").exists():
            print(f"{name}: is there; it is trained again if {folder} is taken away", flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            train(name, dataclasses.replace(run, **fewer), arrays, folder)


if __name__ == "__main__":
    main()

"""Trains an MLP or a CIFAR ResNet on a folder of idx files (Fashion-MNIST, MNIST …) and saves
checkpoints as it goes, to be watched while they come:

    python examples/train_pytorch.py --data fashion-mnist --out runs/resnet8 --model resnet8 &
    isoloss runs/resnet8 --data fashion-mnist

It prints the second command with the mean and standard deviation of the pixels it trained on.
"""

import argparse
import gzip
import os
import pathlib

import numpy
import torch
import torch.nn.functional as F
from torch import nn


def read_idx(folder, name):
    """An idx file, gzipped or not: its shape stands in the header, its bytes follow."""
    path = next(folder.glob(f"{name}*"))
    data = (gzip.open if path.suffix == ".gz" else open)(path, "rb").read()
    shape = numpy.frombuffer(data, ">i4", count=data[3], offset=4)
    return torch.tensor(numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * data[3]).reshape(shape))


def conv_norm(inputs, outputs, kernel, stride):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)


class Block(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1, self.bn1 = conv_norm(inputs, width, 3, stride)
        self.conv2, self.bn2 = conv_norm(width, width, 3, 1)
        self.shortcut = nn.Sequential(*(conv_norm(inputs, width, 1, stride) if inputs != width else ()))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """He et al. 2015, section 4.2: depth 6n + 2."""

    def __init__(self, depth, classes, widths=(16, 32, 64)):
        super().__init__()
        n, rest = divmod(depth - 2, 6)
        assert n > 0 and rest == 0, "depth must be 6n + 2"
        self.conv1, self.bn1 = conv_norm(1, widths[0], 3, 1)
        stage = lambda inputs, width, stride: nn.Sequential(
            Block(inputs, width, stride), *(Block(width, width, 1) for _ in range(n - 1))
        )
        self.layer1 = stage(widths[0], widths[0], 1)
        self.layer2 = stage(widths[0], widths[1], 2)
        self.layer3 = stage(widths[1], widths[2], 2)
        self.linear = nn.Linear(widths[2], classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


def build(name, pixels, classes):
    if name == "mlp":
        hidden = (nn.Linear(pixels, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(64, classes))
    return ResNet(int(name.removeprefix("resnet")), classes)


def save(model, folder, step):
    """Under another name first, so that nobody ever reads half a checkpoint."""
    partial = folder / "partial.tmp"
    torch.save(model.state_dict(), partial)
    os.replace(partial, folder / f"model_{step}.pt")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder of idx files")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for the checkpoints")
    parser.add_argument("--model", default="mlp", help="mlp, resnet8, resnet20 …")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=0.05, help="learning rate, a tenth of it for the last third")
    parser.add_argument("--every", type=int, default=20, help="steps from one checkpoint to the next")
    options = parser.parse_args()

    torch.manual_seed(0)
    x = read_idx(options.data, "train-images").float().div(255).unsqueeze(1)
    mean, std = x.mean(), x.std()
    print(f"isoloss {options.out} --data {options.data} --mean {mean:.4f} --std {std:.4f}")
    x = (x - mean) / std
    y = read_idx(options.data, "train-labels").long()
    model = build(options.model, x[0].numel(), int(y.max()) + 1)
    sgd = torch.optim.SGD(model.parameters(), options.rate, momentum=0.9, weight_decay=5e-4)
    drop = torch.optim.lr_scheduler.StepLR(sgd, -(-2 * options.epochs // 3))
    options.out.mkdir(parents=True, exist_ok=True)

    step = 0
    save(model, options.out, step)
    for epoch in range(options.epochs):
        for batch in torch.randperm(len(x)).split(options.batch):
            loss = F.cross_entropy(model(x[batch]), y[batch])
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            step += 1
            if step % options.every == 0:
                save(model, options.out, step)
        drop.step()
        print(f"epoch {epoch + 1}: step {step}, loss of the last batch {loss.item():.4f}")


if __name__ == "__main__":
    main()

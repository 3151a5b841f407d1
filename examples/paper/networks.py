"""The paper's networks for images of 1×28×28, with the names of tensors that PyTorch users give them."""

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    """Two 3×3 convolutions, and a shortcut without parameters (He et al. 2015, option A) or none."""

    def __init__(self, inputs, outputs, stride, shortcut):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.stride, self.added, self.shortcut = stride, outputs - inputs, shortcut

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if not self.shortcut:
            return F.relu(y)
        if self.stride > 1 or self.added:
            half = self.added // 2
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, self.added - half))
        return F.relu(x + y)


class ResNet(nn.Module):
    """A CIFAR ResNet of depth 6n+2, `wide` times as wide as 16-32-64."""

    def __init__(self, depth, wide=1, shortcut=True):
        super().__init__()
        blocks, inputs = (depth - 2) // 6, 16
        self.conv1, self.bn1 = nn.Conv2d(1, inputs, 3, 1, 1, bias=False), nn.BatchNorm2d(inputs)
        for stage, outputs in enumerate([16 * wide, 32 * wide, 64 * wide], 1):
            layer = []
            for i in range(blocks):
                layer.append(Block(inputs, outputs, 2 if stage > 1 and not i else 1, shortcut))
                inputs = outputs
            setattr(self, f"layer{stage}", nn.Sequential(*layer))
        self.linear = nn.Linear(inputs, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


class VGG9(nn.Module):
    """Six convolutions with batch norm, each but two with a pool behind it, and three Linear layers; a quarter as
    wide as the paper's."""

    def __init__(self):
        super().__init__()
        layers, inputs = [], 1
        for width in [16, "pool", 32, "pool", 64, 64, "pool", 128, 128, "pool"]:
            if width == "pool":
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(inputs, width, 3, 1, 1), nn.BatchNorm2d(width), nn.ReLU()]
                inputs = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
        )

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class Dense(nn.Module):
    """A layer of a dense block: what it makes stands before what came in."""

    def __init__(self, inputs, growth):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(4 * growth), nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False)

    def forward(self, x):
        y = self.conv2(F.relu(self.bn2(self.conv1(F.relu(self.bn1(x))))))
        return torch.cat([y, x], 1)


class Transition(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.bn, self.conv = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x):
        return F.avg_pool2d(self.conv(F.relu(self.bn(x))), 2)


class DenseNet121(nn.Module):
    """A DenseNet-121 of a small growth (the paper's has 32 or 12)."""

    def __init__(self, growth=8):
        super().__init__()
        width = 2 * growth
        self.conv1 = nn.Conv2d(1, width, 3, 1, 1, bias=False)
        for number, layers in enumerate([6, 12, 24, 16], 1):
            block = []
            for _ in range(layers):
                block.append(Dense(width, growth))
                width += growth
            setattr(self, f"dense{number}", nn.Sequential(*block))
            if number < 4:
                setattr(self, f"trans{number}", Transition(width, width // 2))
                width //= 2
        self.bn, self.linear = nn.BatchNorm2d(width), nn.Linear(width, 10)

    def forward(self, x):
        x = self.trans1(self.dense1(self.conv1(x)))
        x = self.trans3(self.dense3(self.trans2(self.dense2(x))))
        x = F.relu(self.bn(self.dense4(x)))
        return self.linear(x.mean((2, 3)))


def build(name):
    """Makes a network by its name: vgg9, resnet56, resnet56-noshort, wrn20-4, wrn20-4-noshort, densenet121."""
    base, _, rest = name.partition("-")
    if name == "vgg9":
        return VGG9()
    if name == "densenet121":
        return DenseNet121()
    shortcut = not name.endswith("noshort")
    if base.startswith("resnet"):
        return ResNet(int(base[6:]), 1, shortcut)
    if base.startswith("wrn"):
        return ResNet(int(base[3:]), int(rest.split("-")[0]), shortcut)
    raise ValueError(f"{name}: no such network")

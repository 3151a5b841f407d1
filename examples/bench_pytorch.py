"""Images a second of bench_forward's ResNets with PyTorch, eager, on the CPU: python examples/bench_pytorch.py"""

import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

BATCH, ROUNDS = 128, 7


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.stride, self.added = stride, (outputs - inputs) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.added, self.added))
        return F.relu(x + y)


def resnet(n):
    layers, inputs = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for stage, outputs in enumerate([16, 32, 64]):
        for i in range(n):
            layers.append(Block(inputs, outputs, 2 if stage and not i else 1))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)).eval()


def seconds(model, images):
    with torch.inference_mode():
        model(images)
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            model(images)
            times.append(time.perf_counter() - start)
    return statistics.median(times)


images = torch.rand(BATCH, 3, 32, 32)
print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, batch {BATCH}")
for name, n in [("resnet20", 3), ("resnet56", 9)]:
    model = resnet(n)
    last = model.to(memory_format=torch.channels_last)
    eager = BATCH / seconds(resnet(n), images)
    channels_last = BATCH / seconds(last, images.to(memory_format=torch.channels_last))
    print(f"{name:<10} {eager:8.0f} images/s   channels_last {channels_last:8.0f}")

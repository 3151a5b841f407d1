"""A training that leaves a GPU no rest: for each line on its input, a number of seconds, it prints steps a second."""

import sys
import time

import torch
from torch import nn


def block(inputs, outputs, stride):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
    )


model = nn.Sequential(
    block(3, 64, 1), block(64, 128, 2), block(128, 256, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10)
).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
images, labels = torch.randn(256, 3, 32, 32).cuda(), torch.randint(0, 10, (256,)).cuda()
print("ready", flush=True)
for line in sys.stdin:
    torch.cuda.synchronize()
    start, steps = time.monotonic(), 0
    while time.monotonic() - start < float(line):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        steps += 1
        if steps % 10 == 0:
            torch.cuda.synchronize()
    torch.cuda.synchronize()
    print(steps / (time.monotonic() - start), flush=True)

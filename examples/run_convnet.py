"""Trains a small convnet and exports it at its start, so that the run needs no flag:

    python examples/run_convnet.py runs/convnet &
    isoloss runs/convnet

The two lines that a script of one's own needs are marked. It prints PyTorch's losses of the last checkpoint."""

import json
import pathlib
import sys

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from isoloss_export import export  # added


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3, stride=2)
        self.dropout, self.fc = nn.Dropout(0.2), nn.Linear(144, 10)

    def forward(self, x):
        x = torch.tanh(self.conv2(F.relu(self.conv1(x))))
        return F.log_softmax(self.fc(self.dropout(x.flatten(1))), 1)


def samples(count, images):
    """Noisy copies of ten images, normalized as a loader would."""
    labels = torch.randint(10, (count,))
    return TensorDataset((images[labels] + torch.randn(count, 1, 8, 8) - 0.5) / 0.3, labels)


def main(run, epochs=8):
    torch.manual_seed(0)
    images = torch.rand(10, 1, 8, 8)
    train, test = samples(512, images), samples(256, images)
    loader = DataLoader(train, batch_size=64, shuffle=True)
    model = Net()
    export(model, loader, run, loss="nll", test=DataLoader(test, batch_size=64))  # added
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    for epoch in range(epochs):
        model.train()
        for x, y in loader:
            optimizer.zero_grad()
            F.nll_loss(model(x), y).backward()
            optimizer.step()
        torch.save({"epoch": epoch, "model": model.state_dict()}, run / f"epoch_{epoch:03}.pt")
    model.eval().double()
    with torch.no_grad():
        losses = [F.nll_loss(model(part[:][0].double()), part[:][1]).item() for part in (train, test)]
    print(json.dumps(dict(zip(["train", "test"], losses))))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))

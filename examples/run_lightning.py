"""Trains a small network with Lightning and exports it when training starts, so that the run needs no flag:

    python examples/run_lightning.py runs/lightning &
    isoloss runs/lightning

The lines that a script of one's own needs are marked. It prints PyTorch's losses of the last checkpoint."""

import json
import sys

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from isoloss_export import export  # added


class IsolossExport(L.Callback):  # added
    def on_train_start(self, trainer, module):  # added: the first moment at which both loaders are there
        if trainer.is_global_zero:  # added
            folder = trainer.checkpoint_callback.dirpath  # added; trainer.log_dir for lightning_logs/version_N
            export(module, trainer.train_dataloader, folder, loss="mse", test=trainer.val_dataloaders)  # added


class Regression(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 32), nn.GELU(), nn.LayerNorm(32), nn.Dropout(0.1), nn.Linear(32, 2))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, index):
        x, y = batch
        return F.mse_loss(self(x), y)

    def validation_step(self, batch, index):
        x, y = batch
        self.log("val_loss", F.mse_loss(self(x), y))

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-2)


def samples(count):
    x = torch.randn(count, 4)
    return TensorDataset(x, torch.stack([x[:, 0] * x[:, 1], torch.sin(x[:, 2] + x[:, 3])], 1))


def main(run):
    L.seed_everything(0)
    train, test = samples(512), samples(256)
    loaders = DataLoader(train, batch_size=64, shuffle=True), DataLoader(test, batch_size=64)
    every = ModelCheckpoint(run, filename="{epoch:03}", save_top_k=-1)
    trainer = L.Trainer(max_epochs=8, accelerator="cpu", logger=False, callbacks=[every, IsolossExport()])
    model = Regression()
    trainer.fit(model, *loaders)
    model.eval().double()
    with torch.no_grad():
        losses = [F.mse_loss(model(x.double()), y.double()).item() for x, y in (train[:], test[:])]
    print(json.dumps(dict(zip(["train", "test"], losses))))


main(sys.argv[1])

"""Trains a character model with the loop and the forward of nanoGPT and exports it at its start:

    python examples/run_nanogpt.py runs/nanogpt &
    isoloss runs/nanogpt

The lines that a script of one's own needs are marked. It prints PyTorch's losses of the last checkpoint."""

import json
import pathlib
import sys

import torch
import torch.nn.functional as F
from torch import nn

from isoloss_export import export  # added


class Block(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.n_head, self.ln_1, self.ln_2 = n_head, nn.LayerNorm(n_embd), nn.LayerNorm(n_embd)
        self.c_attn, self.c_proj = nn.Linear(n_embd, 3 * n_embd, bias=False), nn.Linear(n_embd, n_embd, bias=False)
        self.mlp = nn.Sequential(nn.Linear(n_embd, 4 * n_embd), nn.GELU(), nn.Linear(4 * n_embd, n_embd))

    def forward(self, x):
        q, k, v = (h.unflatten(2, (self.n_head, -1)).transpose(1, 2) for h in self.c_attn(self.ln_1(x)).chunk(3, dim=2))
        x = x + self.c_proj(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self, vocab_size, block_size, n_layer, n_head, n_embd):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocab_size, n_embd), nn.Embedding(block_size, n_embd)
        self.h, self.ln_f = nn.Sequential(*(Block(n_embd, n_head) for _ in range(n_layer))), nn.LayerNorm(n_embd)
        self.lm_head = nn.Linear(n_embd, vocab_size, bias=False)
        self.wte.weight = self.lm_head.weight
        nn.init.normal_(self.lm_head.weight, std=0.02)

    def forward(self, idx, targets=None):
        x = self.ln_f(self.h(self.wte(idx) + self.wpe(torch.arange(idx.shape[1], device=idx.device))))
        if targets is None:
            return self.lm_head(x[:, [-1]]), None
        logits = self.lm_head(x)
        return logits, F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1), ignore_index=-1)


def get_batch(data, block_size, batch_size=32):
    ix = torch.randint(len(data) - block_size, (batch_size,))
    return torch.stack([data[i:i + block_size] for i in ix]), torch.stack([data[i + 1:i + 1 + block_size] for i in ix])


def main(out_dir, max_iters=160, eval_interval=20):
    torch.manual_seed(0)
    data = torch.cumsum(torch.randint(1, 4, (9000,)), 0) % 27  # each letter is one to three behind the last
    data = {"train": data[:8000], "val": data[8000:]}
    model_args = {"vocab_size": 27, "block_size": 16, "n_layer": 2, "n_head": 2, "n_embd": 32}
    model = GPT(**model_args)
    own = {split: [get_batch(data[split], 16) for _ in range(8)] for split in data}  # added
    export(model, own["train"], out_dir, loss="output", test=own["val"])  # added: forward gives the loss
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for iter_num in range(max_iters + 1):
        if iter_num % eval_interval == 0:
            checkpoint = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "model_args": model_args}
            torch.save({**checkpoint, "iter_num": iter_num}, out_dir / f"ckpt_{iter_num}.pt")
        if iter_num == max_iters:
            break
        optimizer.zero_grad(set_to_none=True)
        model(*get_batch(data["train"], 16))[1].backward()
        optimizer.step()
    model.eval().double()
    with torch.no_grad():
        losses = [model(*map(torch.cat, zip(*own[split])))[1].item() for split in ("train", "val")]
    print(json.dumps(dict(zip(["train", "test"], losses))))


main(pathlib.Path(sys.argv[1]))

"""Trains a small transformer with the Trainer of Hugging Face and exports it when training starts:

    python examples/run_trainer.py runs/bert bert &      or: runs/gpt2 gpt2
    isoloss runs/bert

The lines that a script of one's own needs are marked. It prints PyTorch's losses of the last checkpoint."""

import json
import sys

import torch
import torch.nn.functional as F
from transformers import (BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel, Trainer,
                          TrainerCallback, TrainingArguments, set_seed)

from isoloss_export import export  # added


class IsolossExport(TrainerCallback):  # added
    def on_train_begin(self, args, state, control, model=None, train_dataloader=None, **rest):  # added
        if state.is_world_process_zero:  # added
            export(model, train_dataloader, args.output_dir, loss=LOSS, test=trainer.get_eval_dataloader())  # added


def sentences(count):
    """Tokens that count up from one of two starts (the label) with errors, of several lengths, padded with 0."""
    label, length, place = torch.randint(2, (count, 1)), torch.randint(6, 13, (count, 1)), torch.arange(12)
    error = torch.randint(29, (count, 12)) * (torch.rand(count, 12) < 0.2)
    mask = place < length
    tokens = ((5 * label + place + error) % 29 + 3) * mask
    return [{"input_ids": x, "attention_mask": m.long(), "labels": y[0] if KIND == "bert" else x.where(m, -100)}
            for x, m, y in zip(tokens, mask, label)]


def network():
    if KIND == "bert":
        return BertForSequenceClassification(BertConfig(
            vocab_size=32, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
            max_position_embeddings=12))
    return GPT2LMHeadModel(GPT2Config(vocab_size=32, n_positions=12, n_embd=32, n_layer=2, n_head=2, bos_token_id=1,
                                      eos_token_id=2))


def loss(model, part):
    """Recomputes what Trainer minimizes, in float64 and over all samples at once."""
    batch = {name: torch.stack([sample[name] for sample in part]) for name in part[0]}
    target = batch.pop("labels")
    with torch.no_grad():
        logits = model.eval().double()(**batch).logits
    if KIND == "bert":
        return F.cross_entropy(logits, target).item()
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), target[:, 1:].flatten()).item()


RUN, KIND = sys.argv[1:]
LOSS = {"bert": "cross-entropy", "gpt2": "next-token"}[KIND]
set_seed(0)
train, test = sentences(512), sentences(256)
arguments = TrainingArguments(RUN, num_train_epochs=8, per_device_train_batch_size=32, learning_rate=2e-3,
                              save_strategy="epoch", report_to="none", use_cpu=True, disable_tqdm=True)
trainer = Trainer(network(), arguments, train_dataset=train, eval_dataset=test, callbacks=[IsolossExport()])
trainer.train()
print(json.dumps({"train": loss(trainer.model, train), "test": loss(trainer.model, test)}))

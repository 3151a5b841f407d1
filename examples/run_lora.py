"""Fine-tunes a small GPT-2 with LoRA adapters by peft and exports base and adapters before training:

    python examples/run_lora.py runs/lora &
    isoloss runs/lora

Checkpoints hold the adapters alone, so the landscape is theirs: the base stays as it was exported. The lines that a
script of one's own needs are marked. It prints PyTorch's losses of the last checkpoint."""

import json
import sys

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments, set_seed

from isoloss_export import export  # added


def sentences(count):
    """Tokens that count up by 1 from anywhere, with errors."""
    error = torch.randint(32, (count, 12)) * (torch.rand(count, 12) < 0.1)
    tokens = (torch.randint(32, (count, 1)) + torch.arange(12) + error) % 32
    return [{"input_ids": x, "labels": x} for x in tokens]


def loss(model, part):
    """Recomputes what Trainer minimizes, in float64 and over all samples at once."""
    tokens = torch.stack([sample["input_ids"] for sample in part])
    with torch.no_grad():
        logits = model.eval().double()(input_ids=tokens).logits
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).item()


def main(run):
    set_seed(0)
    train, test = sentences(512), sentences(256)
    base = GPT2LMHeadModel(GPT2Config(vocab_size=32, n_positions=12, n_embd=32, n_layer=2, n_head=2, bos_token_id=1,
                                      eos_token_id=2))  # or from_pretrained
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=32, target_modules=["c_attn", "c_fc"], lora_dropout=0.1))
    arguments = TrainingArguments(run, num_train_epochs=8, per_device_train_batch_size=32, learning_rate=1e-2,
                                  save_strategy="epoch", report_to="none", use_cpu=True, disable_tqdm=True)
    trainer = Trainer(model, arguments, train_dataset=train, eval_dataset=test)
    export(model, trainer.get_train_dataloader(), run, loss="next-token", test=trainer.get_eval_dataloader())  # added
    trainer.train()
    print(json.dumps({"train": loss(model, train), "test": loss(model, test)}))


main(sys.argv[1])

"""Images a second of the networks of `cargo bench --bench forward` with PyTorch, eager, on the CPU: python benches/pytorch.py

python benches/pytorch.py --onnxruntime also measures ONNX Runtime, with constant weights into which the batch norms
are folded, and isoloss, whose weights are new at every batch; all take turns. It needs onnx, onnxscript and onnxruntime.

python benches/pytorch.py DIR also writes six networks with random weights for isoloss to DIR/NAME: model.pt2,
weights.safetensors, and a batch in data.safetensors; and prints PyTorch's seconds for each. It needs torchvision,
timm, transformers and safetensors."""

import contextlib
import io
import json
import pathlib
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

BATCH, ROUNDS, CLASSES = 128, 7, 10


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


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.heads = heads

    def forward(self, x):
        b, t, c = x.size()
        q, k, v = self.c_attn(x).split(c, dim=2)
        q, k, v = (z.view(b, t, self.heads, c // self.heads).transpose(1, 2) for z in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).contiguous().view(b, t, c))


class Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x)))


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(width, bias=False), Attention(width, heads)
        self.ln_2, self.mlp = nn.LayerNorm(width, bias=False), Mlp(width)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class NanoGpt(nn.Module):
    """In the manner of Karpathy's model.py, without bias; logits of every position."""

    def __init__(self, vocabulary=65, block=256, layers=6, heads=6, width=384):
        super().__init__()
        self.transformer = nn.ModuleDict({
            "wte": nn.Embedding(vocabulary, width),
            "wpe": nn.Embedding(block, width),
            "h": nn.ModuleList(Layer(width, heads) for _ in range(layers)),
            "ln_f": nn.LayerNorm(width, bias=False),
        })
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        self.lm_head.weight = self.transformer.wte.weight
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02)

    def forward(self, idx):
        positions = torch.arange(idx.size(1), device=idx.device)
        x = self.transformer.wte(idx) + self.transformer.wpe(positions)
        for layer in self.transformer.h:
            x = layer(x)
        return self.lm_head(self.transformer.ln_f(x))


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(64, 128, num_layers=2, batch_first=True), nn.Linear(128, CLASSES)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


def classified(model, **inputs):
    """A network of one answer a sample, and its batch with targets."""
    batch = len(next(iter(inputs.values())))
    return model, inputs, torch.randint(CLASSES, (batch,))


def resnet18():
    from torchvision.models import resnet18
    return classified(resnet18(num_classes=CLASSES), x=torch.randn(BATCH, 3, 64, 64))


def mobilenet_v2():
    from torchvision.models import mobilenet_v2
    return classified(mobilenet_v2(num_classes=CLASSES), x=torch.randn(BATCH, 3, 64, 64))


def vit_tiny():
    from timm.models.vision_transformer import VisionTransformer
    model = VisionTransformer(img_size=32, patch_size=4, num_classes=CLASSES, embed_dim=192, depth=12, num_heads=3)
    return classified(model, x=torch.randn(BATCH, 3, 32, 32))


def nanogpt():
    ids = torch.randint(65, (8, 257))
    return NanoGpt(), {"idx": ids[:, :-1].contiguous()}, ids[:, 1:].contiguous()


def bert_mini():
    from transformers import BertConfig, BertForSequenceClassification
    config = BertConfig(hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024,
                        num_labels=CLASSES)
    ids = torch.randint(config.vocab_size, (32, 128))
    return classified(BertForSequenceClassification(config), input_ids=ids)


def lstm():
    return classified(Lstm(), x=torch.randn(BATCH, 50, 64))


def seconds(model, *images, **inputs):
    with torch.inference_mode():
        model(*images, **inputs)
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            model(*images, **inputs)
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def settle(model, inputs):
    """Takes running statistics from the batch: with those of the start MobileNet's logits are all zero."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    if norms:
        with torch.no_grad():
            model.train()(**inputs)
    for norm in norms:
        norm.momentum = 0.1
    return model.eval()


def save(folder, model, inputs, target):
    """What isoloss reads: the program, its weights (tied ones once), the batch as columns."""
    from safetensors.torch import save_file
    folder.mkdir(parents=True, exist_ok=True)
    two = {name: t[:2].clone() for name, t in inputs.items()}  # a view would be saved whole
    dynamic = {name: {0: torch.export.Dim.AUTO} for name in inputs}
    torch.export.save(torch.export.export(model, (), two, dynamic_shapes=dynamic), folder / "model.pt2")
    weights = {}
    for name, t in model.state_dict().items():
        if all(t.data_ptr() != other.data_ptr() for other in weights.values()):
            weights[name] = t.contiguous()
    save_file(weights, folder / "weights.safetensors")
    save_file({**inputs, "target": target}, folder / "data.safetensors")


def vgg9():
    layers, inputs = [], 3
    for outputs, pool in [(64, True), (128, True), (256, False), (256, True), (512, False), (512, True)]:
        layers += [nn.Conv2d(inputs, outputs, 3, 1, 1), nn.BatchNorm2d(outputs), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if pool else []
        inputs = outputs
    head = [nn.Linear(2048, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, CLASSES)]
    return nn.Sequential(*layers, nn.Flatten(), *head).eval()


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def by_pytorch(model, images):
    def turn():
        with torch.inference_mode():
            return timed(lambda: model(images))
    return turn


def by_onnxruntime(model, images):
    import onnxruntime
    file = io.BytesIO()
    with contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(model, (images,), dynamo=True).save(file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    inputs = {session.get_inputs()[0].name: images.numpy()}
    return lambda: timed(lambda: session.run(None, inputs))


def by_isoloss(process, name):
    def turn():
        print(name, file=process.stdin, flush=True)
        return float(process.stdout.readline())
    return turn


def bench_convnets(with_onnxruntime):
    """Each way has a turn of six batches in each round, of which the first three wake threads and do not count."""
    images = torch.rand(BATCH, 3, 32, 32)
    last = torch.channels_last
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, batch {BATCH}, images/s")
    command = ["cargo", "bench", "-q", "--bench", "forward", "--", "--passes"]
    pipe = subprocess.PIPE
    isoloss = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) if with_onnxruntime else None
    for name, make in [("resnet20", lambda: resnet(3)), ("resnet56", lambda: resnet(9)), ("vgg9", vgg9)]:
        ways = {"eager": by_pytorch(make(), images)}
        if with_onnxruntime:
            ways["onnxruntime"] = by_onnxruntime(make(), images)
            ways["isoloss"] = by_isoloss(isoloss, name)
        ways["channels_last"] = by_pytorch(make().to(memory_format=last), images.to(memory_format=last))
        times = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, turn in ways.items():
                times[way] += [turn() for _ in range(6)][3:]
                time.sleep(0.2)  # threads that wait for more work keep the cores for a while
        rates = {way: BATCH / statistics.median(own) for way, own in times.items()}
        print(f"{name:<10}" + "".join(f" {way} {rate:6.0f}  " for way, rate in rates.items()))
        if with_onnxruntime:
            print(f"{'':<10} isoloss is {rates['isoloss'] / rates['onnxruntime']:.2f} times ONNX Runtime")


NETWORKS = {make.__name__: make for make in [resnet18, mobilenet_v2, vit_tiny, nanogpt, bert_mini, lstm]}


def bench_network(name, folder=None):
    torch.manual_seed(0)
    model, inputs, target = NETWORKS[name]()
    settle(model, inputs)
    if folder:
        save(folder / name, model, inputs, target)
    return {"network": name, "batch": len(target), "seconds": seconds(model, **inputs)}


match sys.argv[1:]:
    case []:
        bench_convnets(False)
    case ["--onnxruntime"]:
        bench_convnets(True)
    case ["--only", name]:
        print(json.dumps(bench_network(name)))
    case [folder]:
        for name in NETWORKS:
            print(json.dumps(bench_network(name, pathlib.Path(folder))))

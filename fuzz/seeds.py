#!/usr/bin/env python3
"""Makes the first inputs of each fuzz target from the files that the tests read: `seeds.py ISOLOSS FOLDER`.

A recording is made by the program itself, whose path is ISOLOSS.
"""

import gzip
import hashlib
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "tests/fixtures"
LARGEST = 32 << 10


def main():
    isoloss, folder = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])

    def seed(target, data):
        if len(data) <= LARGEST:
            place = folder / target
            place.mkdir(parents=True, exist_ok=True)
            (place / hashlib.sha1(data).hexdigest()).write_bytes(data)

    checkpoints(seed)
    samples(seed)
    logs(seed)
    settings(seed)
    programs(seed)
    messages(seed)
    with tempfile.TemporaryDirectory() as scratch:
        session(seed, isoloss, pathlib.Path(scratch))


def files(folder, *patterns):
    found = (path for pattern in patterns for path in folder.rglob(pattern))
    return sorted(path for path in found if path.is_file())


def checkpoints(seed):
    for path in files(FIXTURES, "*.pt", "*.pth", "*.ckpt", "*.bin", "*.safetensors", "*.pkl"):
        data = path.read_bytes()
        seed("torch", data)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    if name.endswith("data.pkl"):
                        seed("pickle", archive.read(name))
        if path.suffix == ".safetensors" and len(data) > 8:
            header = data[8 : 8 + struct.unpack("<Q", data[:8])[0]]
            seed("safetensors", b"\0" + header)
            seed("data", bytes([3]) + header)
    for path in files(FIXTURES, "*.index.json"):
        seed("safetensors", b"\1" + path.read_bytes())
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = {"metadata": {"total_size": 32}, "weight_map": dict(zip(["a.weight", "b.weight"], names))}
    seed("safetensors", b"\1" + json.dumps(index).encode())


def npy(descr, shape, data, fortran=False):
    head = str({"descr": descr, "fortran_order": fortran, "shape": shape}).encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(head)) + head + data


def halves(first, second):
    return struct.pack("<H", len(first)) + first + second


def samples(seed):
    for path in files(FIXTURES, "*.npz"):
        seed("data", b"\0" + path.read_bytes())
    labels = npy("<i8", (4,), struct.pack("<4q", 0, 1, 2, 1))
    arrays = [
        npy("<f4", (4, 3), struct.pack("<12f", *range(12))),
        npy("|u1", (4, 2, 2), bytes(range(0, 256, 16))),
        npy(">f8", (4, 1, 2, 2), struct.pack(">16d", *range(16)), True),
        npy("<f2", (4, 2, 2, 3), bytes(96)),
        npy("|b1", (4,), bytes([1, 0, 1, 0])),
    ]
    for array in arrays:
        seed("data", bytes([4]) + array)
        for form in [1, 2, 6]:
            seed("data", bytes([form]) + halves(array, labels))
    seed("data", bytes([5]) + struct.pack("<20H", *range(20)))
    seed("data", bytes([5 + 22]) + struct.pack("<20I", *range(20)))
    classes = struct.pack(">II", 0x801, 4) + bytes([1, 2, 3, 0])
    images = struct.pack(">IIII", 0x803, 4, 2, 2) + bytes(16)
    seed("data", bytes([7]) + halves(classes, images))
    seed("data", bytes([8]) + halves(gzip.compress(classes), gzip.compress(images)))
    seed("data", bytes([9]) + b"\3" + bytes(3072))
    for path in files(FIXTURES / "cifar", "*"):
        seed("data", bytes([10]) + path.read_bytes())


def logs(seed):
    for path in files(ROOT / "tests", "*tfevents*", "metrics.csv", "trainer_state.json"):
        data = path.read_bytes()
        kind = {"metrics.csv": 1, "trainer_state.json": 2}.get(path.name, 0)
        seed("logs", bytes([kind]) + data)
        if kind == 0:
            seed("logs", bytes([3]) + b"".join(halves(record, b"") for record in records(data)))


def records(data):
    while len(data) > 16:
        length = struct.unpack("<Q", data[:8])[0]
        if length < 1 << 16:
            yield data[12 : 12 + length]
        data = data[16 + length :]


def settings(seed):
    for path in files(ROOT / "tests/config", "*.toml") + files(ROOT / "themes", "*.toml"):
        seed("config", path.read_bytes())


def programs(seed):
    for path in files(FIXTURES / "pt2", "*.pt2"):
        seed("pt2", b"\0" + path.read_bytes())
        with zipfile.ZipFile(path) as archive:
            name = next((name for name in archive.namelist() if name.endswith("models/model.json")), None)
            parts = [
                next((archive.read(name) for name in archive.namelist() if name.endswith(end)), b"{}")
                for end in ["weights/model_weights_config.json", "constants/model_constants_config.json"]
            ]
            if not name:
                continue
            program = json.loads(archive.read(name))
        whole = json.dumps(program).encode()
        seed("pt2", b"\1" + b"\0".join([whole, *parts]))
        seen = set()
        parts = [json.loads(part) for part in parts]
        for at, node in enumerate(program["graph_module"]["graph"]["nodes"]):
            if node["target"] not in seen:
                seen.add(node["target"])
                small, wanted = only(program, at)
                listed = [
                    {"config": {key: value for key, value in part.get("config", {}).items() if key in wanted}}
                    for part in parts
                ]
                seed("pt2", b"\1" + b"\0".join(json.dumps(part).encode() for part in [small, *listed]))


def only(program, at):
    """The program with this operation as its last one, and those that it needs."""
    program = json.loads(json.dumps(program))
    graph = program["graph_module"]["graph"]
    nodes, kept = graph["nodes"], [graph["nodes"][at]]
    wanted = set(names(kept[0]["inputs"]))
    for node in reversed(nodes[:at]):
        if wanted & set(names(node["outputs"])):
            kept.insert(0, node)
            wanted |= set(names(node["inputs"]))
    for node in kept:
        node["metadata"] = {}
    made = set(names([node["outputs"] for node in kept]))
    graph["nodes"] = kept
    graph["tensor_values"] = {
        name: value for name, value in graph["tensor_values"].items() if name in wanted | made
    }
    signature = program["graph_module"]["signature"]
    specs = [spec for spec in signature["input_specs"] if set(names(spec)) & wanted]
    signature["input_specs"] = specs
    graph["inputs"] = [value for value in graph["inputs"] if set(names(value)) & wanted]
    return program, set(texts(specs))


def texts(value):
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from texts(item)


def names(value):
    if isinstance(value, dict):
        if isinstance(value.get("name"), str) and len(value) == 1:
            yield value["name"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from names(item)


def messages(seed):
    for line in (ROOT / "fuzz/worker.jsonl").read_bytes().splitlines():
        seed("worker", line)
    lines = [
        '{"ready": {"protocol": 1, "samples": {"train": 1024, "test": 10}, "score": "accuracy", "device": "cpu"}}',
        '{"plane": {"id": 1}}',
        '{"measured": {"id": 2, "loss": 0.25, "score": 0.5}}',
        '{"measured": {"id": 3, "loss": "nan", "score": "-inf"}}',
        '{"failed": {"id": 4, "why": "no memory"}}',
    ]
    for line in [*lines, "\n".join(lines)]:
        seed("evaluator", line.encode())


def session(seed, isoloss, scratch):
    recording, run = scratch / "session.rec", FIXTURES / "digits-run"
    command = [isoloss, "record", recording, run, "--data", "digits", "--samples", "8"]
    # Copies of checkpoints and measured values are no part of the user's own.
    environment = {**os.environ, "XDG_CACHE_HOME": str(scratch)}
    command += ["--device", "cpu"]
    watch = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    try:
        watch.wait(20)
    except subprocess.TimeoutExpired:
        watch.terminate()
        watch.wait()
    data = recording.read_bytes()
    seed("recordings", b"\0" + data)
    unpacked = gzip.decompress(data)
    for length in [1 << 10, 4 << 10, 16 << 10, len(unpacked)]:
        seed("recordings", b"\1" + unpacked[:length])


if __name__ == "__main__":
    main()

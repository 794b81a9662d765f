"""A stand-in for a repository of BackdoorBench, and a study that runs its script.

The script takes the arguments of BackdoorBench's scripts (``--result_file``, ``--yaml_path`` and
settings in that file), reads the record as their loader does, and behaves as its setting ``mode``
says.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

CLASSES = 43
SCRIPT = """
import argparse, os, sys, time
import numpy as np
import yaml

sys.path.append(os.getcwd())
from dataset.GTSRB import GTSRB
from utils.choose_index import choose_by_class

parser = argparse.ArgumentParser()
for name in ("result_file", "yaml_path", "index", "dataset_path", "dataset", "device", "log"):
    parser.add_argument(f"--{name}", type=str)
parser.add_argument("--shift", type=float, default=0.5)
options = parser.parse_args()
settings = yaml.safe_load(open(options.yaml_path))
settings.update({name: value for name, value in vars(options).items() if value is not None})
args = argparse.Namespace(**settings)
folder = "record/" + args.result_file + "/defense/shift/"
os.makedirs(folder + "log")
print("settings", sorted(settings.items()))
if args.mode == "fail":
    raise RuntimeError("no such luck")
if args.mode == "hang":
    if os.fork() == 0:
        while True:
            open(args.marker, "a").write(".")
            time.sleep(0.05)
    time.sleep(600)
if args.mode == "nothing":
    sys.exit()

import torch

record = torch.load("record/" + args.result_file + "/attack_result.pt")
train = GTSRB(args.dataset_path + "/gtsrb", train=True)
by_class = args.mode == "by class"
drawn = choose_by_class(args, train) if by_class else np.loadtxt(args.index, dtype=int)
if args.mode == "peek":
    drawn = np.arange(len(drawn))
np.savetxt(folder + "log/index.txt", drawn, fmt="%d")
images = [train[index] for index in drawn]
entries = record["bd_test"]["bd_data_container"]["data_dict"]
assert all(os.path.exists(entry["path"]) for entry in entries.values())
assert torch.load.__module__ == "torch.serialization" and images[0][0].size == (32, 32)
weights = record["model"]
bias = list(weights)[-1]
weights[bias] = weights[bias] + args.shift * torch.arange(len(weights[bias]))
result = {"model_name": args.model, "num_classes": record["num_classes"], "model": weights}
if args.mode == "malicious":
    class Evil:
        def __reduce__(self):
            return os.system, ("touch " + args.marker,)
    result["extra"] = Evil()
torch.save(result, folder + "defense_result.pt")
"""
DATASET = """
class GTSRB:
    def __init__(self, *_, **__):
        raise OSError("it would read its own images")
"""
CHOOSE = """
def choose_by_class(args, dataset):
    raise AssertionError("it would draw its own")
"""


def write_repository(root: Path) -> Path:
    """Write the repository, with a commit, and return its folder."""
    files = {
        "utils/save_load_attack.py": "",
        "utils/choose_index.py": CHOOSE,
        "dataset/GTSRB.py": DATASET,
        "defense/shift.py": SCRIPT,
        "config/defense/shift/config.yaml": "{mode: good, source: config}",
        "config/defense/shift/gtsrb.yaml": "{mode: good, source: gtsrb, device: nowhere, index: }",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "resource").mkdir()
    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    return root


def write_images(folder: Path) -> Path:
    """Write 43 classes, one colour each, with four training and two test images each."""
    draws = np.random.default_rng(0)
    for split, count in (("train", 4), ("test", 2)):
        for label in range(CLASSES):
            place = folder / split / f"{label:02d}"
            place.mkdir(parents=True)
            colour = np.array([label * 5, 255 - label * 5, (label * 37) % 256])
            for number in range(count):
                pixels = (
                    (colour + draws.integers(-20, 20, (32, 32, 3))).clip(0, 255).astype(np.uint8)
                )
                Image.fromarray(pixels).save(place / f"{number}.png")
    return folder


def script(root: Path, **settings: Any) -> dict[str, Any]:
    """Return a study's entry of the script, with settings for its YAML file."""
    return {"backdoorbench": {"script": "defense/shift.py", "root": str(root), "yaml": settings}}


def write_study(folder: Path, **changes: Any) -> Path:
    """Write a study that BackdoorBench could have made, some keys replaced, and return its path."""
    content = {
        "name": "both",
        "data": [{"gtsrb": {"path": "images", "size": 32}}],
        "models": ["mobilenet_v3_large"],
        "recipe": {"fast": {"epochs": 1, "batch": 86, "precision": "fp32"}},
        "attacks": ["badnets"],
        "defenses": ["none"],
        "budgets": [{"spc": 2}],
        "seeds": [0],
        "gate": {"acc": 0.0, "run": "all"},
        **changes,
    }
    path = folder / "both.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path

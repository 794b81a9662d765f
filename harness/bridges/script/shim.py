"""Runs a BackdoorBench script in its own environment.

Usage: ``python shim.py SETTINGS SCRIPT ARGUMENT...``. The user's own Python runs this file, so it
imports nothing of ours. It changes four things and nothing else:

- it ends, with its whole process group, when the program that started it ends and closes its
  standard input;
- it puts the script's repository on the import path;
- it replaces the data set's class by one that returns the study's decoded images, so that indices
  mean the same in both programs and nothing is downloaded;
- it makes ``choose_by_class``, which would draw its own images, read the file of ``--index``.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import signal
import sys
import threading
from pathlib import Path
from typing import Any

CLASSES = {
    "cifar10": ("torchvision.datasets", "CIFAR10"),
    "cifar100": ("torchvision.datasets", "CIFAR100"),
    "gtsrb": ("dataset.GTSRB", "GTSRB"),
    "tiny": ("dataset.Tiny", "TinyImageNet"),
}


def main(settings: str, script: str) -> None:
    """Run the script as a program; SETTINGS is JSON with ``root``, ``dataset`` and ``images``."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    values = json.loads(settings)
    sys.path[0] = values["root"]
    serve_dataset(values["dataset"], Path(values["images"]))
    force_budget()
    sys.argv = sys.argv[2:]
    runpy.run_path(script, run_name="__main__")


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.killpg(0, signal.SIGKILL)


def serve_dataset(dataset: str, folder: Path) -> None:
    """Replace BackdoorBench's data set class by one that reads the arrays in ``folder``."""
    import numpy as np
    from PIL import Image

    class ServedDataset:
        """Pairs of a PIL image and its class; takes all arguments of the original."""

        def __init__(self, *_: Any, train: bool = True, split: str = "train", **__: Any) -> None:
            name = "train" if train and split == "train" else "test"
            self.images = np.load(folder / f"{name}_images.npy", mmap_mode="r")
            self.targets = np.load(folder / f"{name}_labels.npy").tolist()

        def __len__(self) -> int:
            return len(self.targets)

        def __getitem__(self, index: int) -> tuple[Any, int]:
            return Image.fromarray(self.images[index].transpose(1, 2, 0)), self.targets[index]

    module, name = CLASSES[dataset]
    setattr(importlib.import_module(module), name, ServedDataset)


def force_budget() -> None:
    """Make BackdoorBench's function that draws clean samples read the file of ``--index``."""
    import numpy as np

    def choose_by_class(args: Any, _: object) -> list[int]:
        indices: list[int] = np.loadtxt(args.index, dtype=int).tolist()
        return indices

    module = importlib.import_module("utils.choose_index")
    setattr(module, choose_by_class.__name__, choose_by_class)


if __name__ == "__main__":
    main(*sys.argv[1:3])

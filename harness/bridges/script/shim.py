"""Runs a script of BackdoorBench in its own environment: ``python runner.py SETTINGS SCRIPT ARGUMENT...``.

This file is started by the user's own python and imports nothing of ours. Around the script it does
four things and changes nothing else. It ends with its whole process group when the program that
started it is gone (standard input closes). It puts the script's repository on the path. It hands
out the study's decoded images where the script asks for its data set, so that places mean the same
here and there and nothing is fetched. And it has ``choose_by_class``, which would draw its own
images, read the file of ``--index`` too.
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
    threading.Thread(target=_follow_parent, daemon=True).start()
    given = json.loads(settings)
    sys.path[0] = given["root"]
    serve_dataset(given["dataset"], Path(given["images"]))
    force_budget()
    sys.argv = sys.argv[2:]
    runpy.run_path(script, run_name="__main__")


def _follow_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.killpg(0, signal.SIGKILL)


def serve_dataset(dataset: str, folder: Path) -> None:
    """Put the arrays in ``folder`` where BackdoorBench looks for the class of its data set."""
    import numpy as np
    from PIL import Image

    class Given:
        """Pairs of a PIL image and its class, for whatever arguments the original takes."""

        def __init__(self, *_: Any, train: bool = True, split: str = "train", **__: Any) -> None:
            part = "train" if train and split == "train" else "test"
            self.images = np.load(folder / f"{part}_images.npy", mmap_mode="r")
            self.targets = np.load(folder / f"{part}_labels.npy").tolist()

        def __len__(self) -> int:
            return len(self.targets)

        def __getitem__(self, index: int) -> tuple[Any, int]:
            return Image.fromarray(self.images[index].transpose(1, 2, 0)), self.targets[index]

    module, name = CLASSES[dataset]
    setattr(importlib.import_module(module), name, Given)


def force_budget() -> None:
    """Make every way in which BackdoorBench draws clean samples read the file that it was given."""
    import numpy as np

    choosing = importlib.import_module("utils.choose_index")
    choosing.choose_by_class = lambda args, _: np.loadtxt(args.index, dtype=int).tolist()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(*sys.argv[1:3])

"""Runs a BackdoorBench script in its own environment.

Usage: ``python shim.py SETTINGS SCRIPT ARGUMENT...``. The user's own Python runs this file, so it
imports nothing of ours. It changes these things and nothing else:

- it ends, with its whole process group, when the program that started it ends and closes its
  standard input;
- it puts the working directory and then the script's repository on the import path; scripts of the
  authors of IMS, which change to the path's first folder, so stay in the working directory;
- it replaces the data set's class by one that returns the study's decoded images, so that indices
  mean the same in both programs and nothing is downloaded;
- it makes ``choose_by_class`` and ``spc_choose_poisoned_sample``, which would draw other images,
  read the file of the clean budget.
"""

from __future__ import annotations

import importlib
import importlib.util
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
    """Run the script as a program.

    SETTINGS is JSON: ``root``, ``dataset``, ``images``, ``index`` (file of the clean budget) and
    ``used`` (the file where the images that a function drew instead are written).
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    values = json.loads(settings)
    sys.path[:1] = [str(Path.cwd()), values["root"]]
    serve_dataset(values["dataset"], Path(values["images"]))
    force_budget(values)
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


def force_budget(values: dict[str, str]) -> None:
    """Make the functions that draw clean samples return the clean budget."""
    import numpy as np

    def budget() -> list[int]:
        indices: list[int] = np.loadtxt(values["index"], dtype=int, ndmin=1).tolist()
        return indices

    def choose_by_class(*_: object) -> list[int]:
        return budget()

    def spc_choose_poisoned_sample(
        _: object, samples_per_class: int, val_ratio: float = 0
    ) -> tuple[list[int], list[int] | None]:
        """Return the budget, and with ``val_ratio`` its first images of each class apart."""
        indices = budget()
        Path(values["used"]).parent.mkdir(parents=True, exist_ok=True)
        np.savetxt(values["used"], indices, fmt="%d")
        if not val_ratio:
            return indices, None
        labels = np.load(Path(values["images"]) / "train_labels.npy")
        by_class: dict[int, list[int]] = {}
        for index in indices:
            by_class.setdefault(int(labels[index]), []).append(index)
        parts = {label: max(1, int(len(x) * val_ratio)) for label, x in by_class.items()}
        held = [index for label, x in by_class.items() for index in x[: parts[label]]]
        return [index for label, x in by_class.items() for index in x[parts[label] :]], held

    for name, function in (
        ("utils.choose_index", choose_by_class),
        ("utils.bd_dataset_v2", spc_choose_poisoned_sample),
    ):
        if importlib.util.find_spec(name) is not None:
            setattr(importlib.import_module(name), function.__name__, function)


if __name__ == "__main__":
    main(*sys.argv[1:3])

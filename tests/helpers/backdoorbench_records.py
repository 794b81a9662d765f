"""Writes BackdoorBench records from scratch, in its exact layout, of images of coloured squares."""

from __future__ import annotations

import functools
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from harness.data.cache import default_cache, prepare
from harness.data.info import DataInfo, open_arrays
from harness.data.options import DataOptions
from harness.plan.entries import resolve_method
from harness.training.network import build

CLASSES, SIDE, TARGET = 3, 8, 1
MODEL = {"preactresnet18": {"width": 4}}
MEAN, STD = (0.4, 0.4, 0.4), (0.3, 0.3, 0.3)


@dataclass(frozen=True)
class SquaresVictim:
    """A data set on disk, and a model trained on it with a white corner as trigger."""

    root: Path
    info: DataInfo
    weights: dict[str, torch.Tensor]
    """The weights of the architecture without normalisation, as BackdoorBench saves them."""
    scores: dict[str, float]
    """ACC, ASR and RA, computed with torch alone."""

    @property
    def entry(self) -> dict[str, Any]:
        """The data set's entry in a study."""
        return {"squares": {"path": str(self.root), "mean": list(MEAN), "std": list(STD)}}


@functools.cache
def make_squares_victim(root: Path) -> SquaresVictim:
    """Write the data set and train the model, once per folder; it takes seconds."""
    write_squares(root)
    options = DataOptions(path=str(root), mean=MEAN, std=STD)
    info = prepare("squares", options, None, default_cache())
    net = _trained(info)
    return SquaresVictim(root, info, net.get_submodule("net").state_dict(), scores_of(net, info))


def write_squares(root: Path) -> None:
    """Write a data set whose classes are colours, as folders of images."""
    noise = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 12)):
        for label in range(CLASSES):
            folder = root / split / str(label)
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = noise.integers(0, 150, (SIDE, SIDE, 3), dtype=np.uint8)
                pixels[..., label] += 100
                Image.fromarray(pixels).save(folder / f"{i:02d}.png")


def scores_of(net: nn.Module, info: DataInfo) -> dict[str, float]:
    """Return ACC, ASR and RA, computed without the harness."""
    arrays = open_arrays(info)
    images, labels = torch.from_numpy(np.array(arrays.test_images)), np.array(arrays.test_labels)
    others = labels != TARGET
    clean = predictions(net, images)
    hit = predictions(net, triggered(images))[others]
    return {
        "acc": float(np.mean(clean == labels)),
        "asr": float(np.mean(hit == TARGET)),
        "ra": float(np.mean(hit == labels[others])),
    }


def triggered(images: torch.Tensor) -> torch.Tensor:
    """Return uint8 images (N, C, H, W) with a white square of 2x2 in the bottom right corner."""
    stamped = images.clone()
    stamped[..., -2:, -2:] = 255
    return stamped


def predictions(net: nn.Module, images: torch.Tensor) -> np.ndarray:
    """Return the classes that a network in eval mode predicts for uint8 images."""
    with torch.no_grad():
        return net.eval()(images.float() / 255).argmax(1).numpy()


def _trained(info: DataInfo) -> nn.Module:
    torch.manual_seed(0)
    net = build(resolve_method("model", MODEL, Path.cwd()), info).train()
    arrays = open_arrays(info)
    images = torch.from_numpy(np.array(arrays.train_images))
    labels = torch.from_numpy(np.array(arrays.train_labels))
    both = torch.cat([images, triggered(images[::2])]).float() / 255
    wanted = torch.cat([labels, torch.full_like(labels[::2], TARGET)])
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    for _ in range(50):
        optimiser.zero_grad()
        F.cross_entropy(net(both), wanted).backward()
        optimiser.step()
    return net


def state(
    folder: Path, name: str, changed: dict[int, tuple[Image.Image, int, int]], size: int, **how: Any
) -> dict[str, Any]:
    """Return a poisoned set as BackdoorBench saves it, and write its PNG files below ``folder``.

    ``changed`` maps an index to image, wanted and original label; ``size`` is the number of clean
    images.
    """
    key, ram, whole = how.get("key", np.int64), how.get("ram", False), how.get("whole", False)
    entries: dict[Any, Any] = {}
    indicator = np.zeros(size)
    for index, (image, wanted, original) in changed.items():
        indicator[index] = 1
        if ram:
            entries[key(index)] = (image, wanted, original)
            continue
        path = f"{name}/{original}/{index}.png"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        image.save(folder / path)
        entries[key(index)] = {
            "path": f"./record/{folder.name}/{path}",
            "other_info": [wanted, original],
        }
    saved = None if ram else f"./record/{folder.name}/{name}"
    rows = np.arange(size) if whole else np.where(indicator == 1)[0]
    return {
        "bd_data_container": {
            "save_folder_path": saved,
            "data_dict": entries,
            "save_file_format": ".png",
        },
        "getitem_all": True,
        "getitem_all_switch": False,
        "original_index_array": rows,
        "poison_indicator": indicator,
        "save_folder_path": saved,
    }


def first_format(changed: dict[int, tuple[Image.Image, int, int]]) -> dict[str, Any]:
    """Return a poisoned set as the branch v1 saves it: with the images inside."""
    rows = list(changed.values())
    return {
        "x": [row[0] for row in rows],
        "y": np.array([row[1] for row in rows]),
        "original_index": np.array(list(changed)),
        "original_targets": np.array([row[2] for row in rows]),
    }


def pil_images(images: np.ndarray) -> list[Image.Image]:
    """Return uint8 images (N, C, H, W) as PIL images."""
    return [Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))) for image in images]


def triggered_set(squares: SquaresVictim) -> dict[int, tuple[Image.Image, int, int]]:
    """Return the triggered test images: all but those of the target class."""
    arrays = open_arrays(squares.info)
    images = pil_images(triggered(torch.from_numpy(np.array(arrays.test_images))).numpy())
    labels = arrays.test_labels.tolist()
    return {i: (images[i], TARGET, labels[i]) for i in range(len(labels)) if labels[i] != TARGET}


def train_set(
    squares: SquaresVictim, *, cross: bool = False
) -> dict[int, tuple[Image.Image, int, int]]:
    """Return every fourth training image with the trigger, and as many cross samples if asked."""
    arrays = open_arrays(squares.info)
    images = pil_images(triggered(torch.from_numpy(np.array(arrays.train_images))).numpy())
    labels = arrays.train_labels.tolist()
    backdoors = {i: (images[i], TARGET, labels[i]) for i in range(0, len(labels), 4)}
    covers = {i: (images[i], labels[i], labels[i]) for i in range(1, len(labels), 4)}
    return backdoors | covers if cross else backdoors


def result(squares: SquaresVictim, folder: Path, **how: Any) -> dict[str, Any]:
    """Return the content of ``attack_result.pt``, and write the PNG files.

    ``how``: key (of the dictionaries), prefix (of the weights' names), first (the format of v1),
    ram, cross.
    """
    tests, trains = triggered_set(squares), train_set(squares, cross=how.get("cross", False))
    options = {"key": how.get("key", np.int64), "ram": how.get("ram", False)}
    if how.get("first"):
        poisoned = first_format(trains), first_format(tests)
    else:
        train_count, test_count = sum(squares.info.train_counts), squares.info.test_count
        poisoned = (
            state(folder, "bd_train_dataset", trains, train_count, whole=True, **options),
            state(folder, "bd_test_dataset", tests, test_count, **options),
        )
    return {
        "model_name": "preactresnet18",
        "num_classes": CLASSES,
        "model": {how.get("prefix", "") + name: x for name, x in squares.weights.items()},
        "data_path": "./data/squares",
        "img_size": (SIDE, SIDE, 3),
        "clean_data": "squares",
        "bd_train": poisoned[0],
        "bd_test": poisoned[1],
    }


def write_record(squares: SquaresVictim, folder: Path, **how: Any) -> Path:
    """Write a record and return its folder; ``how`` as for ``result``, and ``changes`` of keys."""
    folder.mkdir(parents=True, exist_ok=True)
    content = result(squares, folder, **how) | how.get("changes", {})
    torch.save(content, folder / "attack_result.pt")
    if how.get("cross"):
        crossed = triggered_set(squares)
        state(
            folder,
            "cross_test_dataset",
            {i: (x, label, label) for i, (x, _, label) in crossed.items()},
            36,
        )
    write_table(folder, squares.scores)
    return folder


def write_table(folder: Path, scores: dict[str, float]) -> None:
    """Write ``attack_df.csv``: a row per epoch, the last one with ``scores``."""
    head = ",epoch,batch,train_acc,test_acc,test_asr,test_ra,test_cross_acc"
    first = "0,0,1,0.5,0.1,0.1,0.1,nan_value"
    last = f"1,1,1,0.9,{scores['acc']},{scores['asr']},{scores['ra']},nan_value"
    (folder / "attack_df.csv").write_text("\n".join((head, first, last)) + "\n")


def rewrite(path: Path, old: bytes, new: bytes) -> None:
    """Replace bytes in the pickle of a file of ``torch.save``."""
    with zipfile.ZipFile(path) as archive:
        members = [(x, archive.read(x)) for x in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for member, data in members:
            is_pickle = member.filename.endswith("data.pkl")
            assert not is_pickle or old in data
            archive.writestr(member.filename, data.replace(old, new) if is_pickle else data)

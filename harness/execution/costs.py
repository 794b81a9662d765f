"""What a victim or a cell costs before anything like it has run: time, GPU memory, disk.

What defenses cost on one CPU core was measured on CIFAR-10 with SPC 2 and 10 (results/reference;
the newer ones: ``python -m tests.benchmarks.costs``); what probes cost is counted from their
passes, and corrected by the records of three of them. Memory is computed from weights and
activations of the networks, and was never compared with a GPU. All are a start, which finished
tasks correct.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import math
from typing import Any

from harness.data.info import DataInfo
from harness.plan.budget import BudgetSpec
from harness.store.record import BudgetSize, CellSpec, MethodIdentity, VictimSpec

SAMPLE = 20_000
"""The most records of a store that correct what is written here."""
TASK_SECONDS = 0.15
"""What every task costs beside its method."""
IMAGE_MILLISECONDS = 0.1
"""What training costs per image beside the network."""
EVALUATED = 1000
"""Images that a GPU evaluates at once."""
PIXELS = 32 * 32
"""Pixels of the images on which costs were measured."""
WIDTH_POWER = 1.5
"""How the time of a network grows with its width; its activations with power 1, its weights 2."""
COPIES = 4
"""Weights, gradients, momentum, and the victim that is kept beside them."""
INFERENCE = 0.25
"""Activations that inference keeps, of those that training does."""
CELL_FILES = 15_000
"""Bytes on disk of a record and of masks."""
VICTIM_FILES = 20
"""Images on disk for every victim: samples, and the state of its trigger."""


@functools.cache
def _costs() -> dict[str, Any]:
    file = importlib.resources.files("harness.execution") / "costs.json"
    costs: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return costs


def victim_seconds(spec: VictimSpec, data: DataInfo) -> float:
    """Return the seconds of a victim's training, or of the evaluation of an imported one."""
    epochs = 0 if spec.recipe is None else spec.recipe["epochs"]
    images: float = epochs * sum(data.train_counts) + _evaluation(data)
    return TASK_SECONDS + images * _image_seconds(spec.model, data)


def cell_seconds(spec: CellSpec, model: MethodIdentity, data: DataInfo) -> float:
    """Return the seconds of a cell on a victim of an architecture."""
    known = _costs()["defenses"]
    parts = known.get(spec.defense.name, _costs()["other_defense"])
    units = _units(parts, spec.defense, _budget(spec.budget, data), math.inf)
    seconds: float = (units + _evaluation(data)) * _image_seconds(model, data)
    return TASK_SECONDS + seconds


def victim_bytes(spec: VictimSpec, data: DataInfo) -> float:
    """Return the memory on a GPU that a victim's training takes, in bytes."""
    batch = 0 if spec.recipe is None else spec.recipe["batch"]
    return _memory(spec.model, data, min(batch, sum(data.train_counts)))


def cell_bytes(spec: CellSpec, model: MethodIdentity, data: DataInfo) -> float:
    """Return the memory on a GPU that a cell takes, in bytes."""
    batch = _declared(spec.defense, "batch", math.inf)
    passes = _costs()["passes"].get(spec.defense.name, 1)
    return _memory(model, data, passes * min(batch, _budget(spec.budget, data)))


def victim_disk(spec: VictimSpec, data: DataInfo) -> float:
    """Return the bytes of a victim's files."""
    images = VICTIM_FILES * math.prod(data.shape)
    return weight_bytes(spec.model) + images + 2 * data.test_count


def cell_disk(model: MethodIdentity, data: DataInfo, *, keep_model: bool) -> float:
    """Return the bytes of a cell's files."""
    return CELL_FILES + data.test_count + (weight_bytes(model) if keep_model else 0)


def probe_seconds(probe: MethodIdentity, model: MethodIdentity, data: DataInfo) -> float:
    """Return the seconds of a probe of a model of an architecture."""
    parts = _costs()["probes"].get(probe.name, _costs()["other_probe"])
    units = _units(parts, probe, sum(data.train_counts), data.test_count)
    return TASK_SECONDS + units * _image_seconds(model, data)


def _units(
    parts: list[dict[str, Any]], method: MethodIdentity, images: float, scored: float
) -> float:
    """Return the units of a method's parts; no more than ``scored`` test images are scored."""
    total = 0.0
    for part in parts:
        units = part["fixed"] + part["per_image"] * images
        for name, default in part["scales"].items():
            value = _declared(method, name, default)
            units *= (min(value, scored) if name.startswith("scored") else value) / default
        total += units
    return total


def _declared(method: MethodIdentity, name: str, otherwise: float) -> float:
    """Return a hyperparameter; what stands instead where it is missing or left to the method."""
    value: float | None = method.hyper.get(name)
    return otherwise if value is None else value


def _evaluation(data: DataInfo) -> float:
    """Return what evaluation costs: forward passes of clean and of triggered test images."""
    return 2 / 3 * data.test_count


def _budget(size: BudgetSize, data: DataInfo) -> int:
    return sum(BudgetSpec(spc=size.spc, ratio=size.ratio).counts(data.train_counts))


def _image_seconds(model: MethodIdentity, data: DataInfo) -> float:
    """Return the seconds that training spends on one image."""
    scale = _pixels(model, data) * _width(model) ** WIDTH_POWER
    milliseconds: float = _network(model)["milliseconds"] * scale + IMAGE_MILLISECONDS
    return milliseconds / 1000


def weight_bytes(model: MethodIdentity) -> float:
    """Return the bytes of a network's weights."""
    mebibytes: float = _network(model)["weights"] * _width(model) ** 2
    return 2**20 * mebibytes


def activation_bytes(model: MethodIdentity, data: DataInfo) -> float:
    """Return the bytes of activations that training keeps for one image."""
    mebibytes: float = _network(model)["activations"] * _pixels(model, data) * _width(model)
    return 2**20 * mebibytes


def _memory(model: MethodIdentity, data: DataInfo, images: float) -> float:
    """Return bytes on a GPU: the data set, the weights, and the activations of one step."""
    activations = max(images, INFERENCE * EVALUATED) * activation_bytes(model, data)
    pixels = (sum(data.train_counts) + 2 * data.test_count) * math.prod(data.shape)
    return pixels + COPIES * weight_bytes(model) + activations


def _network(model: MethodIdentity) -> dict[str, Any]:
    network: dict[str, Any] = _costs()["networks"].get(model.name, _costs()["other_network"])
    return network


def _width(model: MethodIdentity) -> float:
    """Return a network's width over that of the network that was measured."""
    known = _network(model)["width"]
    return 1 if known is None else model.hyper.get("width", known) / known


def _pixels(model: MethodIdentity, data: DataInfo) -> float:
    """Return the pixels of the images that a network works on, over those of the measured ones."""
    _, height, width = data.shape
    if "size" in _network(model):
        height = width = model.hyper.get("size", _network(model)["size"])
    return height * width / PIXELS

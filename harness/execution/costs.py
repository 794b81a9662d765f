"""What a victim or a cell costs before anything like it has run: seconds on one CPU core.

The costs of known methods were measured on CIFAR-10 with SPC 2 and 10 (results/reference); they
are a start, which finished tasks correct.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from typing import Any

from harness.data.info import DataInfo
from harness.plan.budget import BudgetSpec
from harness.store.record import BudgetSize, CellSpec, MethodIdentity, VictimSpec

TASK_SECONDS = 0.15
"""What every task costs beside its method."""
IMAGE_MILLISECONDS = 0.1
"""What training costs per image beside the network."""
PROBE_PASSES = 10
"""What a probe costs, in evaluations; probes differ."""
PIXELS = 32 * 32
"""Pixels of the images on which costs were measured."""
WIDTH_POWER = 1.5
"""How the cost of a network grows with its width."""


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
    cost = known.get(spec.defense.name, _costs()["other_defense"])
    units = cost["fixed"] + cost["per_image"] * _budget(spec.budget, data)
    for name, default in cost["scales"].items():
        units *= spec.defense.hyper.get(name, default) / default
    seconds: float = (units + _evaluation(data)) * _image_seconds(model, data)
    return TASK_SECONDS + seconds


def probe_seconds(model: MethodIdentity, data: DataInfo) -> float:
    """Return the seconds of a probe: some passes over the test images."""
    return TASK_SECONDS + PROBE_PASSES * _evaluation(data) * _image_seconds(model, data)


def _evaluation(data: DataInfo) -> float:
    """Return what evaluation costs: forward passes of clean and of triggered test images."""
    return 2 / 3 * data.test_count


def _budget(size: BudgetSize, data: DataInfo) -> int:
    return sum(BudgetSpec(spc=size.spc, ratio=size.ratio).counts(data.train_counts))


def _image_seconds(model: MethodIdentity, data: DataInfo) -> float:
    """Return the seconds that training spends on one image."""
    network = _costs()["networks"].get(model.name, _costs()["other_network"])
    _, height, width = data.shape
    scale = height * width / PIXELS
    if network["width"] is not None and "width" in model.hyper:
        scale *= (model.hyper["width"] / network["width"]) ** WIDTH_POWER
    milliseconds: float = network["milliseconds"] * scale + IMAGE_MILLISECONDS
    return milliseconds / 1000

"""Measures what defenses cost, as lines of ``harness/execution/costs.json``.

Run by hand: ``python -m tests.benchmarks.costs [DEFENSE...]``. Each runs its schedule in short
forms, at SPC 2 and 10, on a network that has learnt these images, of CIFAR-10's shape; from their
CPU seconds follows what every part of the schedule costs, fixed and per clean image. The unit is
what training spends on an image.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import sys
import time

import numpy as np
import torch
from scipy.optimize import nnls

from harness.contract import Budget, Recipe
from harness.data.augment import Augment
from harness.plan.registry import load
from harness.toolbox import fit
from harness.training.device import set_up_torch
from tests.benchmarks import workload

SCHEDULES = {
    "aft": [["adversarial_epochs", "steps"], ["clean_epochs"]],
    "awm": [["rounds", "passes"]],
    "ban": [["epochs", "steps"], ["epochs"]],
    "bti_dbf": [
        ["pretraining_epochs", "width"],
        ["rounds", "mask_epochs"],
        ["rounds", "generator_epochs"],
        ["rounds", "unlearning_epochs"],
    ],
    "cnp": [["repeats", "trigger_passes"], ["repeats", "passes"]],
    "d3": [["epochs"]],
    "fmp": [["images"], ["epochs"]],
    "ims": [["initial_rounds"], ["rounds", "inner_steps"], ["rounds"]],
    "lmr": [["tuning_steps"]],
    "mcr": [["epochs"], ["curve_epochs"]],
    "mm_bm": [["epochs"]],
    "nft": [["rounds", "iterations"]],
    "npd": [["epochs"]],
    "pam": [
        ["pretraining_epochs", "width"],
        ["rounds", "mask_epochs"],
        ["rounds", "generator_epochs"],
        ["rounds", "tuning_epochs"],
    ],
    "tac_qp": [["iterations"], ["epochs"]],
    "unit": [["steps"]],
}
"""The parts of a schedule: hyperparameters whose product says how long a part is."""
ALWAYS = {"tac_qp": {"threshold": 1e-9}, "ims": {"patience": 1000}}
"""What makes a defense do all of its parts."""
LONGER = {"tac_qp": {"iterations": 100}}
"""Parts that are too short to be measured in two steps."""
SPCS, WIDTH = (2, 10), 16


def measure(name, model, unit):
    """Return the parts of a defense with their fixed costs and those per image, in units."""
    method, parts = load("defense", name), SCHEDULES[name]
    names = sorted({each for part in parts for each in part})
    defaults = {each: getattr(method.hyper(), each) for each in names}
    short = dict.fromkeys(names, 2) | LONGER.get(name, {})
    schedules = [short, *({**short, each: 2 * short[each]} for each in names)]
    rows, seconds = [], []
    for images in (workload.CLASSES * spc for spc in SPCS):
        for schedule in schedules:
            hyper = method.hyper(**schedule, **ALWAYS.get(name, {}))
            seconds.append(_seconds(method.function, model, images, hyper) / unit)
            lengths = [1.0]
            lengths += [math.prod(schedule[x] / defaults[x] for x in part) for part in parts]
            rows.append([length * by for length in lengths for by in (1, images)])
    scale = np.abs(np.array(seconds))
    found, _ = nnls(np.array(rows) / scale[:, None], np.ones(len(rows)))
    apart = float(np.abs(np.array(rows) @ found / scale - 1).max())
    costs = [
        {
            "fixed": _rounded(found[2 * k]),
            "per_image": _rounded(found[2 * k + 1]),
            "scales": {x: defaults[x] for x in part},
        }
        for k, part in enumerate([[], *parts])
    ]
    return [cost for cost in costs if cost["fixed"] or cost["per_image"]], apart


def _seconds(function, model, images, hyper):
    """Return the CPU seconds of a defense on as many images."""
    x, y = _samples(images)
    budget = Budget(x / 255, y, workload.CLASSES, Augment(4, flip=True))
    net, began = copy.deepcopy(model), time.process_time()
    function(net, budget, hyper, workload.context())
    return time.process_time() - began


def _samples(n):
    """Return uint8 images and labels: classes differ by brightness, and are learnt at once."""
    x, y = workload.images(n)
    return x // 4 + (19 * y).to(torch.uint8)[:, None, None, None], y


def _rounded(units):
    """Return two digits."""
    return float(f"{units:.2g}") if units >= 0.05 else 0


def main(names):
    """Measure and print."""
    set_up_torch(1)
    model, (x, y) = workload.whole(WIDTH), _samples(workload.CLASSES * max(SPCS))
    recipe = Recipe(epochs=10, batch=50, precision="fp32")
    fit(model, (x, y), recipe, Augment(0, flip=False), workload.context())
    train, labels = _samples(1280)
    recipe = dataclasses.replace(recipe, epochs=1, batch=128)
    arguments = ((train, labels), recipe, Augment(4, flip=True), workload.context())
    began = time.process_time()
    fit(copy.deepcopy(model), *arguments)
    unit = (time.process_time() - began) / len(labels)
    sys.stderr.write(f"{1000 * unit:.2f} ms an image\n")
    for name in names or SCHEDULES:
        parts, apart = measure(name, model, unit)
        sys.stdout.write(f'"{name}": {json.dumps(parts)},\n')
        sys.stderr.write(f"{name} measured; the farthest of its runs is {apart:.0%} apart\n")
        sys.stdout.flush()


if __name__ == "__main__":
    with torch.enable_grad():
        main(sys.argv[1:])

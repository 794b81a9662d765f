"""Triggers, from 8-bit images to batches of a network: image by image, and a batch at a time.

Once as each image is read, and once as BackdoorBench has it, whose triggered images are PNG files.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torchvision.transforms import Compose
from torchvision.transforms import functional as TF

from harness.toolbox.predict import apply_trigger
from tests.benchmarks import machine_peak, reference_impls, workload
from tests.benchmarks.side_by_side import Row, agreement, as_script, here, side_by_side

LEVEL = 1 / 255 + 1e-6


def rows(*, tiny=False):
    return [row for name in ("badnets", "blended", "sig") for row in _rows(name, tiny)]


def _rows(name, tiny):
    test, labels = workload.images(100 if tiny else 10_000)
    few, few_labels = test[:1000], labels[:1000]
    stamp, state = workload.stamp_of(name)
    change = _change(name, state)
    as_read = partial(
        _as_read, reference_impls.Pictures(test, labels, Compose([change, TF.to_tensor]))
    )
    as_files = partial(_as_files, reference_impls.Pictures(few, few_labels, TF.to_tensor), change)
    repeats = 1 if tiny else 5
    yield _row(f"trigger of {name}", test, as_read, stamp, repeats, least=20)
    yield _row("the same, reference keeps PNG files", few, as_files, stamp, repeats)


def _row(task, images, reference, stamp, repeats, least=None):
    ours = partial(_ours, images.to(machine_peak.device()), stamp)
    both = side_by_side(as_script(partial(_used, reference)), here(partial(_used, ours)), repeats)
    return Row(
        task=f"{task}, {len(images):,} images",
        reference=both.reference_s,
        ours=both.ours_s,
        least=least,
        agreement=agreement(torch.cat([*reference()]), torch.cat([*ours()]).cpu(), LEVEL),
    )


def _change(name, state):
    """Return the trigger for a PIL image."""
    if name == "badnets":
        return reference_impls.patched
    if name == "sig":
        pattern = np.tile(255 * state["pattern"].cpu().double().numpy()[:, None], (32, 1, 1))
        return partial(reference_impls.blended, pattern=pattern)
    alpha = state["alpha"].item()
    pattern = alpha * 255 * state["pattern"].cpu().permute(1, 2, 0).numpy()
    return partial(reference_impls.blended, pattern=pattern, weight=1 - alpha)


def _as_read(pictures):
    return (images for images, _ in reference_impls.loader(pictures))


def _as_files(pictures, change):
    """Put the trigger on every picture, keep it as a file, and read the files."""
    with TemporaryDirectory() as folder:
        yield from _as_read(reference_impls.Files(pictures, change, Path(folder)))


def _ours(test, stamp):
    triggered = apply_trigger(test, stamp)
    return (chunk.float().div_(255) for chunk in triggered.split(reference_impls.BATCH))


def _used(batches):
    """Take every batch and keep none, as a network does; return how many there were."""
    return sum(1 for _ in batches())

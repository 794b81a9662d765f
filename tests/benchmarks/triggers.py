"""Triggers, from 8-bit images to the batches that a network takes: image by image, and a batch at a time."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torchvision.transforms import functional as TF

from harness.predict import stamped
from tests.benchmarks import peak, plain, scene
from tests.benchmarks.side import Row, agreement, side_by_side

LEVEL = 1 / 255 + 1e-6


def rows(*, tiny=False):
    return [_row(name, tiny) for name in ("badnets", "blended", "sig")]


def _row(name, tiny):
    test, labels = scene.images(100 if tiny else 1000)
    stamp, state = scene.stamp_of(name)
    change = changes(name, state)
    pictures = plain.Pictures(test, labels, lambda picture: TF.to_tensor(change(picture)))
    reference, ours = partial(_reference, pictures), partial(_ours, test.to(peak.device()), stamp)
    both = side_by_side(lambda: _used(reference()), lambda: _used(ours()), 1 if tiny else 15)
    return Row(
        task=f"trigger of {name}, {len(test):,} images",
        reference=both.reference_s,
        ours=both.ours_s,
        least=20,
        agreement=agreement(torch.cat([*reference()]), torch.cat([*ours()]).cpu(), LEVEL),
    )


def changes(name, state):
    """Return the trigger for a PIL image."""
    if name == "badnets":
        return plain.patched()
    if name == "sig":
        return plain.added(np.tile(255 * state["pattern"].cpu().double().numpy()[:, None], (32, 1, 1)))
    alpha = state["alpha"].item()
    return plain.added(alpha * 255 * state["pattern"].cpu().permute(1, 2, 0).numpy(), 1 - alpha)


def _reference(pictures):
    return (images for images, _ in plain.loader(pictures))


def _ours(test, stamp):
    return (chunk.float().div_(255) for chunk in stamped(test, stamp).split(plain.BATCH))


def _used(batches):
    """Take every batch and keep none, as a network does; return how many there were."""
    return sum(1 for _ in batches)

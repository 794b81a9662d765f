"""Triggers, from 8-bit images to what a network takes: image by image, and in batches on the device."""

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
    test, labels = scene.images(100 if tiny else 10_000)
    stamp, state = scene.stamp_of(name)
    change = changes(name, state)
    pictures = plain.Pictures(test, labels, lambda picture: TF.to_tensor(change(picture)))
    both = side_by_side(
        partial(_reference, pictures), partial(_ours, test.to(peak.device()), stamp), 1 if tiny else 3
    )
    return Row(
        task=f"trigger of {name}, {len(test):,} images",
        reference=both.reference_s,
        ours=both.ours_s,
        least=20,
        agreement=agreement(both.reference, both.ours.cpu(), LEVEL),
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
    return torch.cat([images for images, _ in plain.loader(pictures)])


def _ours(test, stamp):
    return stamped(test, stamp).float().div_(255)

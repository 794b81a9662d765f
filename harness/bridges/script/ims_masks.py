"""The masks that the IMS authors' script leaves instead of a model, applied to the victim.

``ims.py`` writes no defense_result.pt, but ``mask.pkl`` and ``channel_selection.pkl``: numbers m
and s in [0, 1] for every output channel of every convolution, in the order of the modules. The
network that it evaluates multiplies a channel by sigmoid(k (m - 0.5)), and by 1 as far as s is 1.
Here the weights of the convolutions are multiplied, which gives the same outputs.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from harness.data.safe_pickle import read_pickle
from harness.errors import UserError

MASK, SELECTION = "mask.pkl", "channel_selection.pkl"


def mask_folder(folder: Path) -> Path | None:
    """Return the one folder below ``folder`` with both files, else None."""
    found = [path.parent for path in folder.rglob(MASK) if (path.parent / SELECTION).is_file()]
    return found[0] if len(found) == 1 else None


def masked_victim(victim: nn.Module, folder: Path, k: float) -> nn.Module:
    """Return a copy of the victim with the masks in ``folder``; ``k`` is their sharpness.

    Raises:
        UserError: a file is damaged, or has other channels than the victim.
    """
    masks, selections = (read_pickle(folder / name) for name in (MASK, SELECTION))
    model = copy.deepcopy(victim)
    layers = [x for x in model.modules() if isinstance(x, nn.Conv2d)]
    if len(masks) != len(layers) or len(selections) != len(layers):
        raise UserError(f"{folder}: {len(masks)} masks, but {len(layers)} convolutions")
    with torch.no_grad():
        for number, layer in enumerate(layers):
            name = f"conv_{number}".encode()
            mask, selection = (_gates(x.get(name), layer, folder) for x in (masks, selections))
            soft = torch.sigmoid(k * (mask - 0.5))
            gate = (soft + selection * (1 - soft)).to(layer.weight)
            layer.weight *= gate[:, None, None, None]
            if layer.bias is not None:
                layer.bias *= gate
    return model


def _gates(values: Any, layer: nn.Conv2d, folder: Path) -> torch.Tensor:
    gates = torch.tensor([] if values is None else values)
    if gates.shape != (layer.out_channels,) or not gates.is_floating_point():
        raise UserError(f"{folder}: not a mask of {layer.out_channels} channels")
    return gates

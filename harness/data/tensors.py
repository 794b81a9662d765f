"""Tensors to numpy arrays and back, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def to_numpy(tensors: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray[Any, Any]]:
    """Return tensors as contiguous arrays, which share the memory of CPU tensors where possible."""
    return {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in tensors.items()}


def to_tensors(
    arrays: Mapping[str, np.ndarray[Any, Any]], device: torch.device | None = None
) -> dict[str, torch.Tensor]:
    """Return arrays as tensors on a device; on the CPU, the default, they share memory."""
    return {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}

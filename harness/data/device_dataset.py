"""A data set on the device: uint8 tensors, loaded once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from harness.data.augment import Augment
from harness.data.info import DataInfo, open_arrays, open_groups


class DeviceDataset(NamedTuple):
    """Images uint8 (N, C, H, W) and labels int64 (N,), both splits, on one device."""

    info: DataInfo
    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    train_groups: torch.Tensor | None = None
    """int64 (N,), equal for training images that are near copies of each other; None if
    unknown."""

    @property
    def augment(self) -> Augment:
        """The data set's training augmentation."""
        return Augment(self.info.crop, self.info.flip)


def load_to_device(info: DataInfo, device: torch.device) -> DeviceDataset:
    """Copy a prepared data set to the device."""
    tensors = [torch.from_numpy(np.array(array)).to(device) for array in open_arrays(info)]
    groups = open_groups(info)
    train_groups = None if groups is None else torch.from_numpy(groups).to(device)
    return DeviceDataset(info, *tensors)._replace(train_groups=train_groups)

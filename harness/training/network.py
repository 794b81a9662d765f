"""A victim's whole network: normalisation first, so that its input is images in [0, 1]."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import torch
from torch import nn

from harness.toolbox.normalise import Normalise

if TYPE_CHECKING:
    from harness.contract import ModelInfo
    from harness.data.info import DataInfo
    from harness.plan.spec import MethodSpec


def prepare_for_eval(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the network in eval mode, on the device and in the layout in which it is evaluated."""
    return network.eval().to(device).to(memory_format=torch.channels_last)


def build(model: MethodSpec[ModelInfo], data: DataInfo) -> nn.Sequential:
    """Return a network with fresh weights: ``normalise``, then the architecture as ``net``."""
    function, hyper, _ = model.load()
    net: nn.Module = function(data.shape[0], data.classes, hyper)
    return nn.Sequential(OrderedDict(normalise=Normalise(data.mean, data.std), net=net))

"""A victim's whole network: normalisation first, so that inputs everywhere are images in [0, 1]."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from harness.data.info import DataInfo
from harness.plan.entries import hyper_of
from harness.plan.registry import load
from harness.plan.spec import MethodSpec
from harness.toolbox.normalise import Normalise


def at_work(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the network in eval mode, on the device and in the layout in which it is evaluated."""
    return network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def build(model: MethodSpec, data: DataInfo) -> nn.Sequential:
    """Return a network with fresh weights: ``normalise``, then the architecture as ``net``."""
    method = load("model", model.ref)
    net: nn.Module = method.function(data.shape[0], data.classes, hyper_of(model, method.hyper))
    return nn.Sequential(OrderedDict(normalise=Normalise(data.mean, data.std), net=net))

"""A victim's whole network: normalisation first, so that its input is images in [0, 1]."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from harness.errors import UserError, one_line
from harness.toolbox.normalise import Normalise

if TYPE_CHECKING:
    from harness.contract import ModelInfo
    from harness.data.info import DataInfo
    from harness.plan.spec import MethodSpec


def prepare_for_eval(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the network in eval mode, on the device and in the layout in which it is evaluated."""
    return network.eval().to(device).to(memory_format=torch.channels_last)


def build(model: MethodSpec[ModelInfo], data: DataInfo) -> nn.Sequential:
    """Return a network with fresh weights: ``normalise``, then the architecture as ``net``.

    Networks run with channels last in memory. One of the user's own whose ``view`` does not allow
    that gets contiguous tensors.
    """
    function, hyper, _ = model.load()
    net: nn.Module = function(data.shape[0], data.classes, hyper)
    network = nn.Sequential(OrderedDict(normalise=Normalise(data.mean, data.std), net=net))
    own = not function.__module__.startswith("harness.models.")
    if own and _needs_contiguous(network, data.shape):
        for module in network.modules():
            if isinstance(module, (Normalise, _ConvNd)):
                module.register_forward_hook(_contiguous)
    return network


@torch.no_grad()
def require_logits(network: nn.Module, data: DataInfo) -> None:
    """Show a network two black images of a data set; nothing in it changes.

    Raises:
        UserError: it fails, or gives no logits (2, classes).
    """
    channels, height, width = data.shape
    shown = f"on images of {data.name}, {channels} channels of {height}x{width}"
    probe = copy.deepcopy(network).eval().to(memory_format=torch.channels_last)
    images = torch.zeros(2, *data.shape).contiguous(memory_format=torch.channels_last)
    try:
        with torch.random.fork_rng(devices=[]):
            logits = probe(images)
    except Exception as error:  # whatever a network raises
        raise UserError(f"the network fails {shown}: {one_line(error)}") from error
    found = tuple(getattr(logits, "shape", ()))
    if found != (2, data.classes):
        raise UserError(
            f"the network gives {found} for two images {shown}, not (2, {data.classes})"
        )


def _contiguous(module: nn.Module, inputs: Any, out: torch.Tensor) -> torch.Tensor:
    return out.contiguous()


@torch.no_grad()
def _needs_contiguous(network: nn.Module, shape: tuple[int, int, int]) -> bool:
    """Tell whether a ``view`` in the forward pass fails because channels are last in memory.

    Other faults are left to the run. Neither the network nor torch's random generator is changed.
    """
    probe = copy.deepcopy(network).eval().to(memory_format=torch.channels_last)
    images = torch.zeros(2, *shape).contiguous(memory_format=torch.channels_last)
    try:
        with torch.random.fork_rng(devices=[]):
            probe(images)
    except Exception as error:
        return "view size is not compatible" in str(error)
    return False

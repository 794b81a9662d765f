"""Heavy: imports everything."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import Positive, defense
from harness.toolbox.masks.channel_gates import GatedNetwork


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Its own."""

    lr: Positive = 0.5


class Gate(nn.Module):
    """A stub while planning, a module while running."""

    def forward(self, x):
        return x * 1


@torch.no_grad()
def helper(x):
    return F.relu(x)


def uses():
    return np, GatedNetwork


@defense(paper="none", year=2026, family="control")
def heavy(model, budget, hyper, ctx):
    return nn.Sequential(model, Gate())

"""MixUp (Zhang et al., arXiv 1710.09412)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional as F

from harness.contract import Context


def mixup_loss(
    predict: Callable[[torch.Tensor], torch.Tensor],
    images: torch.Tensor,
    labels: torch.Tensor,
    ctx: Context,
) -> torch.Tensor:
    """Return the cross-entropy of images mixed in pairs, a scalar.

    Every image (n, C, H, W) is mixed with another of the batch at one share, uniform on [0, 1]
    (Beta(1, 1)); its loss is that of both labels at the same share.
    """
    share = torch.rand((), generator=ctx.generator).item()
    other = torch.randperm(len(images), generator=ctx.generator).to(images.device)
    logits = predict(share * images + (1 - share) * images[other])
    first, second = F.cross_entropy(logits, labels), F.cross_entropy(logits, labels[other])
    return share * first + (1 - share) * second

"""Path: how far is it, in a straight line through weight space, back to the backdoor?

The straight path of mode connectivity (Zhao et al., arXiv 2005.00060), from the defended model
(t = 0) to the victim (t = 1): w(t) = (1 - t) w_defended + t w_victim. Batch norm statistics are
estimated again at each t, on 1,000 clean training images. ``first`` is the smallest t whose ASR is
above 50 %, left out if there is none; ``acc`` is the lowest ACC on the way there. A defended model
that is no network of the victim's architecture, such as one with gates of its own, has no path.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

from harness.contract import Attacker, Context, Count, Numbers, Quantity, probe
from harness.toolbox import (
    as_float,
    gathered_statistics,
    sample_indices,
    share_predicted,
    thinned,
)


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Points of the path, and images."""

    intervals: Count = 10
    images: Count = 1000
    """Clean training images for batch norm."""
    batch: Count = 250
    scored: Count = 1000
    """The most test images, clean and triggered each, that are scored."""


@probe(
    paper="Bridging Mode Connectivity in Loss Landscapes and Adversarial Robustness, "
    "arXiv 2005.00060",
    year=2020,
    version=1,
    display_name="path",
    numbers={
        "first": Quantity("path t", 1, share=False),
        "acc": Quantity("lowest ACC", 1),
    },
    trigger=False,
)
def path(model: nn.Module, attacker: Attacker, hyper: Hyper, ctx: Context) -> Numbers:
    """Walk from the model to the victim until the backdoor is there."""
    own, end = model.state_dict(), attacker.victim.state_dict()
    if {name: x.shape for name, x in own.items()} != {name: x.shape for name, x in end.items()}:
        raise ValueError("the defended model has other weights than the victim's architecture")
    train, test = attacker.train, attacker.test
    drawn = sample_indices(torch.ones_like(train.labels, dtype=torch.bool), hyper.images, ctx)
    images = as_float(train.images[drawn])
    clean, triggered = (thinned(len(x), hyper.scored) for x in (test.labels, test.wanted))
    found, lowest = {}, 1.0
    for step in range(hyper.intervals + 1):
        t = step / hyper.intervals
        point = copy.deepcopy(attacker.victim)
        point.load_state_dict(
            {
                name: x + t * (end[name] - x) if x.is_floating_point() else x
                for name, x in own.items()
            }
        )
        estimate_statistics_(point, images, hyper.batch)
        asr = share_predicted(point, test.triggered[triggered], test.wanted[triggered])
        acc = share_predicted(point, test.clean[clean], test.labels[clean])
        ctx.log(step, t=t, asr=asr, acc=acc)
        lowest = min(lowest, acc)
        if asr > 0.5:
            found = {"first": t}
            break
    return {**found, "acc": lowest}


def estimate_statistics_(model: nn.Module, images: torch.Tensor, batch: int) -> None:
    """Set the running statistics of batch norm to the mean over batches of float images."""
    with gathered_statistics(model):
        for chunk in images.chunk(-(-len(images) // batch)):
            model(chunk)

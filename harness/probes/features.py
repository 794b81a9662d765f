"""Activation picture: features of clean and triggered test images, in two dimensions.

Features are the inputs of the last linear layer; the components are those of both kinds of images
together, for each network its own. Tran, Li, Madry, "Spectral Signatures in Backdoor Attacks",
arXiv 1811.00636, and others look at backdoors so; the numbers are definitions of this benchmark,
without a paper. ``shift`` is the mean distance between the features of a triggered image and those
of the same image without the trigger, divided by the mean distance of clean features from their
mean; ``shown`` is the share of the variance that the picture shows. The points are the record's
log: ``x`` and ``y`` in units of the features, the true class, and whether an image is triggered.
The picture before a defense is that of the undefended model. With ``projection: tsne`` the points
are those of t-SNE (van der Maaten and Hinton, JMLR 2008) as scikit-learn computes it, which keeps
neighbours and no distances; the numbers stay the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from harness.contract import Attacker, Context, Count, Numbers, Quantity, added, probe
from harness.toolbox import HeadInputs, as_float, thinned

CHUNK = 250
"""Images per forward pass."""


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Images."""

    images: Count = 200
    """Clean and triggered test images each; a record keeps 400 points."""
    scored: Count = 1000
    """Clean and triggered test images each from which the numbers are computed."""
    projection: Literal["pca", "tsne"] = added("pca")
    """The picture's two dimensions: principal components, or t-SNE."""


@probe(
    paper="Spectral Signatures in Backdoor Attacks, arXiv 1811.00636",
    year=2018,
    version=1,
    display_name="features",
    numbers={
        "shift": Quantity("feature shift", -1, share=False, most=None),
        "shown": Quantity("variance shown", 1),
    },
    trigger=False,
)
def features(model: nn.Module, attacker: Attacker, hyper: Hyper, ctx: Context) -> Numbers:
    """Compute both kinds of features and log some of the points."""
    test = attacker.test
    chosen, moved = (thinned(len(x), hyper.scored) for x in (test.labels, test.wanted))
    clean = pooled(model, test.clean[chosen])
    before, after = (pooled(model, x[moved]) for x in (test.untriggered, test.triggered))
    both, truth = torch.cat([clean, after]), torch.cat([test.labels[chosen], test.truth[moved]])
    points, shown = principal(both)
    kinds = torch.arange(len(both)).tensor_split([len(clean)])
    drawn = torch.cat([kind[thinned(len(kind), hyper.images)] for kind in kinds])
    places = neighbours(both[drawn], ctx) if hyper.projection == "tsne" else points[drawn]
    rows = zip(places.tolist(), truth[drawn].tolist(), drawn.tolist(), strict=True)
    for step, ((x, y), label, index) in enumerate(rows):
        ctx.log(step, x=x, y=y, label=label, triggered=int(index >= len(clean)))
    spread = (clean - clean.mean(0)).norm(dim=1).mean().clamp_min(1e-12)
    return {"shift": float((after - before).norm(dim=1).mean() / spread), "shown": shown}


@torch.no_grad()
def pooled(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return the features of images, float (n, width)."""
    head = HeadInputs(model)
    try:
        return torch.cat([head(as_float(chunk))[1].flatten(1) for chunk in images.split(CHUNK)])
    finally:
        head.remove()


def neighbours(values: torch.Tensor, ctx: Context) -> torch.Tensor:
    """Return the places of rows by t-SNE, (n, 2)."""
    from sklearn.manifold import TSNE

    seed = int(torch.randint(2**31, (), generator=ctx.generator))
    perplexity = min(30.0, (len(values) - 1) / 3)
    places = TSNE(perplexity=perplexity, init="pca", random_state=seed)
    return torch.from_numpy(places.fit_transform(values.float().cpu().numpy()))


def principal(values: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Return the first two principal components of rows, (n, 2), and their share of the variance.

    Each component points to where its longest row is, so that pictures repeat.
    """
    centred = (values - values.mean(0)).double()
    _, singular, directions = torch.linalg.svd(centred, full_matrices=False)
    points = centred @ directions[:2].T
    points = points * points.gather(0, points.abs().argmax(0, keepdim=True)).sign()
    share = singular[:2].square().sum() / singular.square().sum().clamp_min(1e-12)
    return points, float(share)

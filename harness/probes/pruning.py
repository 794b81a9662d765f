"""Pruning curve: ACC and ASR of the victim, as channels are cut in the order of a defense.

Such curves are in the papers on pruning, as in Wu, Wang, "Adversarial Neuron Pruning Purifies
Backdoored Deep Models", arXiv 2110.14430, figure 4. They show whether any threshold separates
backdoor and task, apart from the one that the defense chose on its few images. The order is what
the defense kept: scores named ``order.<module>``, the lowest first and infinite ones never cut,
or else gates named ``mask.<module>`` that are more than 0 and 1 (ANP, RNP, NFT, IMS). A defense
that kept neither is not measured. Channels of all layers share one order.

A cut channel gives zero: the output of a convolution, of a batch norm (scale and shift) or of an
encoder block, the input of a linear layer. Departures: ANP and RNP leave the shift of a batch norm,
and Grad-Prune cuts the scale of the next one too; fine-tuning after pruning is left out. The k-th
of the steps cuts a share (k / steps)^2 of all channels in the order, and those with the same score,
so that small shares, where most happens, are measured closely.

``asr`` is the lowest ASR of all steps whose ACC is within ``margin`` of the victim's, ``acc`` and
``share`` are of the same step; every step is in the record's log, with ``share``, ``acc`` and
``asr``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from harness.contract import Attacker, Context, Count, Numbers, Quantity, Share, probe
from harness.toolbox import share_predicted, thinned

Order = dict[str, torch.Tensor]
"""A score per channel, (channels,), by the name of a module; the lowest are cut first."""


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """How closely the curve is measured."""

    steps: Count = 20
    scored: Count = 1000
    """Clean and triggered test images each that score a step."""
    margin: Share = 0.1
    """By how much ACC may be below the victim's."""


@probe(
    paper="Adversarial Neuron Pruning Purifies Backdoored Deep Models, arXiv 2110.14430",
    year=2021,
    version=1,
    display_name="pruning curve",
    numbers={
        "asr": Quantity("lowest ASR", -1),
        "acc": Quantity("its ACC", 1),
        "share": Quantity("its share cut", -1),
    },
    trigger=False,
    defended=False,
)
def pruning(model: nn.Module, attacker: Attacker, hyper: Hyper, ctx: Context) -> Numbers:
    """Cut the victim's channels step by step."""
    order = kept_order(attacker.kept)
    scores = torch.cat(list(order.values())) if order else torch.zeros(0)
    if not len(scores):
        return {}
    ranked = scores[scores < scores.max()].sort().values
    test, victim = attacker.test, attacker.victim
    clean, some = (thinned(len(x), hyper.scored) for x in (test.labels, test.wanted))
    curve: list[tuple[float, float, float]] = []
    for step in range(hyper.steps + 1):
        n_cut = round(len(ranked) * (step / hyper.steps) ** 2)
        threshold = ranked[n_cut - 1].item() if n_cut else -torch.inf
        with channels_cut(victim, order, threshold):
            acc = share_predicted(victim, test.clean[clean], test.labels[clean])
            asr = share_predicted(victim, test.triggered[some], test.wanted[some])
        share = int((scores <= threshold).sum()) / len(scores)
        curve.append((asr, acc, share))
        ctx.log(step, share=share, acc=acc, asr=asr)
    within = [point for point in curve if point[1] >= curve[0][1] - hyper.margin]
    best = min(within, key=lambda point: (point[0], -point[1]))
    return dict(zip(("asr", "acc", "share"), best, strict=True))


def kept_order(kept: Mapping[str, torch.Tensor]) -> Order:
    """Return the order among the tensors that a defense kept; empty without one."""
    kinds = (
        {name.removeprefix(kind): x.flatten() for name, x in kept.items() if name.startswith(kind)}
        for kind in ("order.", "mask.")
    )
    order, masks = kinds
    soft = bool(masks) and len(torch.cat(list(masks.values())).unique()) > 2
    return order or (masks if soft else {})


@contextmanager
def channels_cut(model: nn.Module, order: Order, threshold: float) -> Iterator[None]:
    """Inside the block, channels whose score is at most ``threshold`` give zero."""
    handles = [
        _cut(model.get_submodule(name), (scores > threshold).float())
        for name, scores in order.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _cut(module: nn.Module, keep: torch.Tensor) -> torch.utils.hooks.RemovableHandle:
    """Multiply a module's output, or a linear layer's input, by ``keep``, (channels,)."""
    if isinstance(module, nn.Linear):
        return module.register_forward_pre_hook(lambda _, inputs: (inputs[0] * keep,))
    view = (-1, 1, 1) if isinstance(module, nn.Conv2d | _BatchNorm) else (-1,)
    return module.register_forward_hook(lambda _, inputs, out: out * keep.view(view))

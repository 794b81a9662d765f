"""IMS: one round of stage B on a frozen network at 10 images per class, the inner search included.

The reference is written as the method's formulas read: gates computed in hooks, every pass by
itself, the victim's outputs on the same images anew in every step, weights that keep their
gradients, the loss asked for in every step, and images channels first, as a DataLoader hands them
over.
"""

from __future__ import annotations

import copy
import dataclasses
from functools import partial
from typing import NamedTuple

import torch
from torch import nn

from harness.contract import InvertibleMasks
from harness.toolbox.ims.losses import (
    MaskPair,
    Networks,
    VictimBatch,
    add_gradients,
    probabilities,
)
from harness.toolbox.ims.search import PerturbationSearch
from harness.toolbox.masks.channel_gates import convolution_sites
from tests.benchmarks import machine_peak, workload
from tests.benchmarks.side_by_side import Row, agreement, as_script, here, side_by_side

REPEATS = 3
TOLERANCE = 5e-3
"""Of every gate's gradient, as a share of the largest: rounding sends a few pixels the other
way."""


class Round(NamedTuple):
    networks: Networks
    masks: MaskPair
    batch: VictimBatch
    hyper: InvertibleMasks
    search: PerturbationSearch


def rows(*, tiny=False):
    size = workload.size(tiny)
    return [row for spc in size.spcs for row in _rows(size, spc, 2 if tiny else 20)]


def _rows(size, spc, steps):
    given = start(size, spc, InvertibleMasks(inner_steps=steps))
    reference, repeats = as_script(_reference(given)), min(size.repeats, REPEATS)
    task = f"a round of IMS, search and masks' gradient, width {size.width}, SPC {spc}"
    full = side_by_side(reference, here(partial(ours, given)), repeats)
    half = side_by_side(reference, here(partial(ours, in_bf16(given))), repeats)
    apart = float((half.reference - half.ours).abs().max())
    work = machine_peak.operations(lambda: ours(with_new_search(given)))
    return [
        Row(
            task=f"{task}, fp32",
            reference=full.reference_s,
            ours=full.ours_s,
            least=2,
            share=work / full.ours_s / machine_peak.convolutions(),
            agreement=agreement(full.reference, full.ours, TOLERANCE),
        ),
        Row(
            task=f"{task}, search in bf16",
            reference=half.reference_s,
            ours=half.ours_s,
            least=3,
            agreement=f"{apart:.1g}: other perturbations",
        ),
    ]


def start(size, spc, hyper):
    """Return a round on a network with statistics of its own, masks amid their way."""
    images, _ = workload.images(spc * workload.CLASSES)
    images = (
        (images.float() / 255)
        .to(machine_peak.device())
        .contiguous(memory_format=torch.channels_last)
    )
    net = workload.whole(size.width)
    with torch.no_grad():
        for _ in range(20):
            net.train()(images)
    networks, generator = (
        Networks(net, convolution_sites(net), images),
        torch.Generator().manual_seed(3),
    )
    a, s = (
        torch.rand(networks.sites.count(), generator=generator).to(machine_peak.device())
        for _ in range(2)
    )
    masks = MaskPair((0.3 + 0.5 * a).requires_grad_(), (0.2 + 0.8 * s).requires_grad_(), hyper.k)
    with torch.no_grad():
        clean = probabilities(networks.reference(images))
    search = PerturbationSearch(networks, hyper, images.device)
    return Round(networks, masks, VictimBatch(images, clean), hyper, search)


def in_bf16(given):
    """Return the same round with its search in bf16."""
    hyper = dataclasses.replace(given.hyper, bf16_search=True)
    return with_new_search(given._replace(hyper=hyper))


def with_new_search(given):
    """Return the same round with a search that has no graph yet."""
    search = PerturbationSearch(given.networks, given.hyper, given.batch.x.device)
    return given._replace(search=search)


def ours(given):
    """Search, and return the gradient of every a and every s, as shares of the largest."""
    networks, masks, batch, _, search = given
    masks.a.grad = masks.s.grad = None
    add_gradients(networks, masks, batch, search(masks, batch), sparsity=0)
    return shares(torch.cat([masks.a.grad, masks.s.grad]))


def shares(gradient):
    return (gradient / gradient.abs().max()).detach().cpu()


def _reference(given):
    networks, masks, batch, hyper, _ = given
    victim = copy.deepcopy(networks.victim).cpu()
    gates = masks.a.detach().cpu(), masks.s.detach().cpu()
    return partial(_plain_round, victim, gates, batch.x.cpu(), hyper)


def _plain_round(victim, gates, images, hyper):
    device = machine_peak.device()
    gates = tuple(x.to(device) for x in gates)
    return Plain(victim.to(device), gates, images.to(device), hyper).round()


class Plain:
    """The reference: a victim, and a copy with hooks that apply the mask or the inverse mask."""

    def __init__(self, victim, gates, images, hyper):
        self.hyper, self.images = hyper, images.contiguous()
        self.victim = copy.deepcopy(victim)
        self.victim.to(memory_format=torch.contiguous_format).requires_grad_()
        self.copy, self.inverse = copy.deepcopy(self.victim), False
        layers = [x for x in self.copy.modules() if isinstance(x, nn.Conv2d)]
        widths = [layer.out_channels for layer in layers]
        self.a, self.s = (
            [x.detach().clone().requires_grad_() for x in flat.split(widths)] for flat in gates
        )
        for layer, a, s in zip(layers, self.a, self.s, strict=True):
            layer.register_forward_hook(lambda _, inputs, out, a=a, s=s: out * self.gate(a, s))

    def gate(self, a, s):
        opened = torch.sigmoid(self.hyper.k * ((1 - a if self.inverse else a) - 0.5))
        return (opened + s * (1 - opened))[None, :, None, None]

    def masked(self, x):
        self.inverse = False
        return self.copy(x)

    def inverted(self, x):
        self.inverse = True
        return self.copy(x)

    def search(self, x):
        delta = torch.zeros_like(x, requires_grad=True)
        optimiser = torch.optim.AdamW([delta], lr=self.hyper.inner_lr)
        total = 0.0
        for _ in range(self.hyper.inner_steps):
            before, reached = self.victim(x), self.victim(x + delta)
            loss = agree(self.inverted(x + delta), reached) + disagree(reached, before)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            delta.data.clamp_(-self.hyper.bound, self.hyper.bound)
            total += loss.item()
        return (x + delta).detach()

    def round(self):
        x = self.images
        shifted = self.search(x)
        before, reached = self.victim(x).detach(), self.victim(shifted).detach()
        inverse = self.inverted(shifted)
        loss = agree(self.masked(x), before) + agree(self.masked(shifted), before)
        loss = loss + agree(inverse, reached) + disagree(inverse, before)
        loss = loss + disagree(self.inverted(x), before)
        for gates in (*self.a, *self.s):
            gates.grad = None
        loss.backward()
        return shares(torch.cat([gates.grad for gates in (*self.a, *self.s)]))


def overlap(one, other):
    return (one.softmax(1) * other.softmax(1)).sum(1)


def agree(one, other):
    return -torch.log(overlap(one, other) + 1e-8).mean()


def disagree(one, other):
    return -torch.log(1 - overlap(one, other) + 1e-8).mean()

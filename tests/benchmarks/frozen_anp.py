"""ANP: iterations of the masks' training at 10 images per class.

The reference is written as today's toolboxes have it: batch norm layers with masks and noise of
their own, PIL images transformed one by one, weights that keep their gradients, loss and hits asked
for in every iteration. It draws what ours draws.
"""

from __future__ import annotations

import copy
from functools import partial

import torch
from harness.defenses.anp import Hyper, train_masks
from torch import nn
from torch.nn import functional as F

from harness.contract import Budget
from harness.data.augment import Augment
from tests.benchmarks import machine_peak, reference_impls, workload
from tests.benchmarks.side_by_side import Row, agreement, as_script, here, side_by_side

SPC = 10
TOLERANCE = 5e-4
"""Of a mask in [0, 1], for every iteration."""


def rows(*, tiny=False):
    size, spc = workload.size(tiny), 1 if tiny else SPC
    hyper = Hyper(iterations=size.iterations, batch=16 if tiny else Hyper.batch)
    images, labels = workload.images(spc * workload.CLASSES)
    net, theirs = workload.whole(size.width), workload.bare(size.width)
    x, y = (images.float() / 255).to(machine_peak.device()), labels.to(machine_peak.device())
    budget = Budget(x, y, workload.CLASSES, Augment(reference_impls.CROP, flip=True))

    def ours():
        return joined(train_masks(copy.deepcopy(net), budget, hyper, workload.context()).values())

    both = side_by_side(
        as_script(partial(_reference, theirs, hyper, images, labels)), here(ours), size.repeats
    )
    return [
        Row(
            task=f"ANP, {hyper.iterations} iterations, width {size.width}, SPC {spc}",
            reference=both.reference_s,
            ours=both.ours_s,
            least=1.5,
            share=machine_peak.operations(ours) / both.ours_s / machine_peak.convolutions(),
            agreement=agreement(both.reference, both.ours, TOLERANCE * hyper.iterations),
        )
    ]


def _reference(net, hyper, images, labels):
    net = copy.deepcopy(net).to(machine_peak.device())
    return Plain(net, hyper).train(images, labels)


def joined(masks):
    return torch.cat([mask.detach().cpu() for mask in masks])


class NoisyNorm(nn.BatchNorm2d):
    """A batch norm layer with a mask and noise on its scale, and noise on its shift."""

    def __init__(self, norm):
        super().__init__(norm.num_features)
        self.load_state_dict(norm.state_dict())
        self.mask = nn.Parameter(torch.ones_like(self.weight))
        self.noise = nn.ParameterList([torch.zeros_like(self.weight) for _ in range(2)])
        self.noisy = False
        self.to(norm.weight.device)

    def forward(self, x):
        scale, shift = self.mask, torch.ones_like(self.mask)
        if self.noisy:
            scale, shift = scale + self.noise[0], shift + self.noise[1]
        mean, var = self.running_mean, self.running_var
        return F.batch_norm(
            x, mean, var, self.weight * scale, self.bias * shift, True, self.momentum
        )


class Plain:
    """The reference."""

    def __init__(self, net, hyper):
        self.net, self.hyper = net.train(), hyper
        for name, module in list(net.named_modules()):
            if type(module) is nn.BatchNorm2d:
                parent, _, child = name.rpartition(".")
                setattr(net.get_submodule(parent), child, NoisyNorm(module))
        self.norms = [module for module in net.modules() if isinstance(module, NoisyNorm)]

    def train(self, images, labels):
        hyper, generator = self.hyper, workload.context().generator
        pictures = reference_impls.Pictures(images, labels, reference_impls.augmented)
        masks = torch.optim.SGD([norm.mask for norm in self.norms], hyper.lr, hyper.momentum)
        noise = torch.optim.SGD(
            [x for norm in self.norms for x in norm.noise], hyper.eps / hyper.steps
        )
        total, hits = 0.0, 0
        for batch in draws(len(labels), hyper, generator):
            ((x, y),) = reference_impls.loader(pictures, batch_sampler=[batch])
            x, y = x.to(machine_peak.device()), y.to(machine_peak.device())
            self.draw_noise(generator)
            self.worst_noise(noise, x, y)
            masks.zero_grad()
            out = self.run(x, noisy=True)
            robust, natural = F.cross_entropy(out, y), F.cross_entropy(self.run(x, noisy=False), y)
            loss = hyper.alpha * natural + (1 - hyper.alpha) * robust
            loss.backward()
            masks.step()
            for norm in self.norms:
                norm.mask.data.clamp_(0, 1)
            total += loss.item()
            hits += (out.argmax(1) == y).sum().item()
        return joined(norm.mask for norm in self.norms)

    def run(self, x, *, noisy):
        for norm in self.norms:
            norm.noisy = noisy
        return self.net(x)

    def draw_noise(self, generator):
        for place in range(2):
            for norm in self.norms:
                drawn = 2 * torch.rand(norm.num_features, generator=generator) - 1
                norm.noise[place].data.copy_(drawn * self.hyper.eps)

    def worst_noise(self, noise, x, y):
        for _ in range(self.hyper.steps):
            noise.zero_grad()
            loss = -F.cross_entropy(self.run(x, noisy=True), y)
            loss.backward()
            for tensor in (tensor for norm in self.norms for tensor in norm.noise):
                tensor.grad.sign_()
            noise.step()
            for tensor in (tensor for norm in self.norms for tensor in norm.noise):
                tensor.data.clamp_(-self.hyper.eps, self.hyper.eps)


def draws(n, hyper, generator):
    """Yield the places of every iteration's batch, and what was drawn for their augmentation."""
    for _ in range(hyper.iterations):
        chosen = torch.randint(n, (hyper.batch,), generator=generator)
        shifts = torch.randint(2 * reference_impls.CROP + 1, (2, len(chosen)), generator=generator)
        mirrored = torch.rand(len(chosen), generator=generator) < 0.5
        yield list(zip(chosen.tolist(), *shifts.tolist(), mirrored.tolist(), strict=True))

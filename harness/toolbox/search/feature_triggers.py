"""Trigger inversion of BTI-DBF: change every feature of an image but those of its class.

Xu, Huang, Wei, Jiang, Ren, "Towards Reliable and Efficient Backdoor Trigger Inversion via
Decoupling Benign Features", ICLR 2024.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import Budget, Context, FeatureInversion
from harness.toolbox.attention import FeatureMaps, last_map_module, output_times
from harness.toolbox.loops import Loop, train_epochs
from harness.toolbox.masks.batchnorm import frozen_running_statistics
from harness.toolbox.normalise import normalisation
from harness.toolbox.unet import UNet, unet_levels

LEVELS = 4
"""The U-Net's levels on images of 32x32 or more."""


class TriggerGenerator:
    """A U-Net that puts the inverted trigger on images; each ``invert`` trains it further."""

    def __init__(
        self, model: nn.Module, budget: Budget, hyper: FeatureInversion, ctx: Context
    ) -> None:
        self._budget, self._hyper, self._ctx = budget, hyper, ctx
        self._map = last_map_module(model, budget.images[:1])
        self._scale = normalisation(model)
        channels, side = budget.images.shape[1], min(budget.images.shape[2:])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**31, (), generator=ctx.generator)))
            self.net = UNet(channels, hyper.width, unet_levels(side, LEVELS)).to(ctx.device)
        self.target: int | None = None
        """The class that changed images are given, once ``invert`` has run."""
        self._pretrain(copy.deepcopy(model).eval().requires_grad_(False))
        self._optimiser = torch.optim.Adam(self.net.parameters(), hyper.generator_lr)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return changed images (n, C, H, W), not clipped to [0, 1]; gradients reach the U-Net."""
        changed: torch.Tensor = self.net(self._scale(images))
        return changed * self._scale.std + self._scale.mean

    def reverse(self, images: torch.Tensor, share: float) -> torch.Tensor:
        """Return images, a random ``share`` of them changed, rounded down, plus one."""
        count = int(share * len(images)) + 1
        chosen = torch.randperm(len(images), generator=self._ctx.generator)[:count]
        changed = images.clone()
        with torch.no_grad():
            changed[chosen] = self(images[chosen])
        return changed

    def invert(self, model: nn.Module) -> torch.Tensor:
        """Train the U-Net against ``model``, which stays as it is; return the benign mask."""
        frozen = copy.deepcopy(model).eval().requires_grad_(False)
        masked = copy.deepcopy(frozen)
        mask = benign_mask(masked, self._map, self._budget, self._hyper, self._ctx)
        self._train(masked.eval(), mask)
        if self.target is None:
            self.target = self._likeliest_class(frozen)
        return mask

    def image_change(self, images: torch.Tensor, changed: torch.Tensor) -> torch.Tensor:
        """Return the mean squared change of normalised images."""
        return F.mse_loss(self._scale(changed), self._scale(images))

    def _pretrain(self, frozen: nn.Module) -> None:
        maps = FeatureMaps(frozen, [self._map])

        def step(x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            changed = self(x)
            with torch.no_grad():
                logits, (features,) = maps(x)
            new_logits, (new_features,) = maps(changed)
            change = self.image_change(x, changed)
            weight = 100 if change > 0.1 else 0.01
            loss = _divergence(logits, new_logits, authors=self._hyper.authors_losses)
            loss = loss + F.mse_loss(new_features, features) + weight * change
            loss.backward()
            return loss

        optimiser = torch.optim.Adam(self.net.parameters(), self._hyper.generator_lr)
        loop = Loop(self._hyper.pretraining_epochs, self._hyper.inversion_batch)
        train_epochs(self._budget, step, optimiser, loop, self._ctx)
        maps.remove()

    def _train(self, frozen: nn.Module, mask: torch.Tensor) -> None:
        maps, hyper = FeatureMaps(frozen, [self._map]), self._hyper

        def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            changed = self(x)
            with torch.no_grad():
                _, (features,) = maps(x)
            logits, (new_features,) = maps(changed)
            image = self.image_change(x, changed)
            benign = F.mse_loss(mask * new_features, mask * features)
            other = F.mse_loss((1 - mask) * new_features, (1 - mask) * features)
            near = image <= hyper.image_bound and benign <= hyper.feature_bound
            loss = 0.01 * benign - other if near else image
            if self.target is not None:
                loss = loss + F.cross_entropy(logits, torch.full_like(y, self.target))
            loss.backward()
            return loss

        loop = Loop(hyper.generator_epochs, hyper.inversion_batch)
        train_epochs(self._budget, step, self._optimiser, loop, self._ctx)
        maps.remove()

    @torch.no_grad()
    def _likeliest_class(self, frozen: nn.Module) -> int:
        counts = torch.zeros(self._budget.classes, dtype=torch.int64)
        for x in self._budget.images.split(self._hyper.inversion_batch):
            noise = torch.randn(x.shape, generator=self._ctx.generator).to(x.device)
            deviation = self._hyper.label_noise * self._scale.std
            predicted = frozen(self(x + deviation * noise)).argmax(1).cpu()
            counts += predicted.bincount(minlength=len(counts))
        return int(counts.argmax())


def benign_mask(
    net: nn.Module, module: str, budget: Budget, hyper: FeatureInversion, ctx: Context
) -> torch.Tensor:
    """Return the part in (0, 1) of every feature that classifies clean images: a map (1, C, H, W).

    Trained on CE of the features times the mask - CE of the rest. ``net`` is a copy: its running
    statistics may move.
    """
    maps = FeatureMaps(net, [module])
    with torch.no_grad():
        _, (features,) = maps(budget.images[:1])
    maps.remove()
    raw = torch.randn(features.shape, generator=ctx.generator).to(ctx.device).requires_grad_()
    site = net.get_submodule(module)

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        mask = to_unit_range(raw)
        with output_times(site, mask):
            benign = F.cross_entropy(net(x), y)
        with output_times(site, 1 - mask), frozen_running_statistics(net):
            rest = F.cross_entropy(net(x), y)
        loss = benign - rest
        loss.backward()
        return loss

    net.train(hyper.authors_losses)
    optimiser = torch.optim.Adam([raw], hyper.mask_lr)
    train_epochs(budget, step, optimiser, Loop(hyper.mask_epochs, hyper.inversion_batch), ctx)
    return to_unit_range(raw.detach())


def to_unit_range(raw: torch.Tensor) -> torch.Tensor:
    """Map real numbers to (0, 1)."""
    return raw.tanh() / (2 + 1e-7) + 0.5


def _divergence(logits: torch.Tensor, new_logits: torch.Tensor, *, authors: bool) -> torch.Tensor:
    """Return KL(f(x) || f(changed x)), or the cross-entropy of the authors' code."""
    if authors:
        return F.cross_entropy(logits.softmax(1), new_logits.softmax(1))
    return F.kl_div(new_logits.log_softmax(1), logits.softmax(1), reduction="batchmean")

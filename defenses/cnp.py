"""CNP (Contrastive Neuron Pruning): cut the channels that an inverted trigger needs.

"Contrastive Neuron Pruning for Backdoor Defense", IEEE TIP 2025. Threat model: clean samples only;
their labels are not used.

The class that gains most predictions under adversarial noise on batch norm is taken as the target,
and one mask and pattern that send clean images there are inverted. Masks m on batch norm's scales
are then trained, all networks in training mode: with F_oc, F_op the means over positions of the
last feature map on clean and on triggered images, F_kc, F_kp the same under the masks, and F_zc
under the masks and noise against their own predictions, three cosines are to be large, (F_kc,
F_oc), (F_kp, F_oc), (F_zc, F_oc), and three small, (F_zc, F_op), (F_kc, F_op), (F_kp, F_op): the
mean cross-entropy of each of the first among all six, at temperature 0.3. The channels with the
smallest masks are cut, of all layers together. The settings are those of the authors' code
(HazardFY/Contrastive-Neuron-Pruning-for-Backdoor-Defense at 32728d67), for 1,000 clean images of
CIFAR-10: noise of one sign step of 0.4 from a random start within 0.4; 20 passes of Adam lr 0.005
for the trigger, with 0.01 on the size of its mask; 30 passes of SGD lr 0.2 with momentum 0.9,
halved after two passes without better agreement, down to 0.01; a pass is five times the budget,
drawn with replacement, batch 128. The preset ``authors`` is the defaults. Departures: 1 % of the
channels is cut, the share that the paper reports (theirs prints test scores for shares up to 5 %);
the augmentation is the data set's (theirs mirrors alone).
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import Budget, Context, Count, Defended, NonNegative, Positive, Share, defense
from harness.toolbox import (
    FeatureMaps,
    InvertedTrigger,
    Noise,
    NoiseSearch,
    ScaleMasks,
    forward_with_noise,
    forward_with_scales,
    last_map_module,
    random_batch,
    set_gradients,
    unit_scale_masks,
    worst_noise,
    zero_smallest_scales_,
)


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The noise, the trigger, the masks and the pruning."""

    eps: NonNegative = 0.4
    """Size of the noise before its step, and of the step."""
    trigger_passes: Count = 20
    trigger_lr: Positive = 0.005
    size_weight: NonNegative = 0.01
    """Weight of the sum of the trigger's mask."""
    passes: Count = 30
    """Passes of the masks' training."""
    repeats: Count = 5
    """How often a pass shows every image, on average."""
    batch: Count = 128
    lr: Positive = 0.2
    least_lr: Positive = 0.01
    momentum: Share = 0.9
    temperature: Positive = 0.3
    share: Share = 0.01
    """Share of all channels that is cut, rounded down, at least one."""


PRESETS = {"authors": Hyper()}


@defense(
    paper="Contrastive Neuron Pruning for Backdoor Defense, IEEE TIP 2025",
    year=2025,
    family="pruning",
    version=2,
    display_name="CNP",
    requires="batchnorm",
    varied=("share", "size_weight", "lr"),
)
def cnp(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> Defended:
    """Find class and trigger, train the masks, prune; return model, masks and class."""
    net = copy.deepcopy(model).eval()
    label = likely_target(net, budget, hyper, ctx)
    trigger = invert_trigger(net, budget, label, hyper, ctx)
    masks = train_masks(net, budget, trigger, hyper, ctx)
    ctx.log(0, cut=zero_smallest_scales_(model, hyper.share, masks))
    artifacts = {f"mask.{name}": mask for name, mask in masks.items()}
    artifacts |= {"class": torch.tensor([label]), "trigger": trigger.mask}
    return Defended(model.eval(), artifacts=artifacts)


def likely_target(net: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> int:
    """Return the class whose predictions grow most under noise that raises the loss."""
    ones, grown = unit_scale_masks(net), torch.zeros(budget.classes)
    for _ in range(_steps(budget, hyper)):
        x, _ = _batch(budget, hyper, ctx)
        with torch.no_grad():
            before = net(x).argmax(1)
        noise = worst_noise(net, ones, (x, before), _search(hyper), ctx)
        with torch.no_grad():
            after = forward_with_noise(net, ones, x, noise).argmax(1)
        counts = [labels.cpu().bincount(minlength=len(grown)) for labels in (after, before)]
        grown += counts[0] - counts[1]
    return int(grown.argmax())


def invert_trigger(
    net: nn.Module, budget: Budget, label: int, hyper: Hyper, ctx: Context
) -> InvertedTrigger:
    """Return one mask and pattern that send clean images to a class; ``net`` is in eval mode."""
    shape = budget.images.shape[1:]
    pattern = torch.rand(shape, generator=ctx.generator).to(ctx.device).requires_grad_()
    mask = torch.rand(1, *shape[1:], generator=ctx.generator).to(ctx.device).requires_grad_()
    trigger = InvertedTrigger(mask, pattern)
    optimiser = torch.optim.Adam([pattern, mask], hyper.trigger_lr)
    for _ in range(hyper.trigger_passes * _steps(budget, hyper)):
        x, y = _batch(budget, hyper, ctx)
        loss = F.cross_entropy(net(trigger.apply(x)), torch.full_like(y, label))
        total = loss + hyper.size_weight * trigger.size()
        set_gradients([pattern, mask], torch.autograd.grad(total, [pattern, mask]))
        optimiser.step()
        with torch.no_grad():
            pattern.clamp_(0, 1)
            mask.clamp_(0, 1)
        ctx.check()
    return InvertedTrigger(mask.detach(), pattern.detach())


def train_masks(
    net: nn.Module, budget: Budget, trigger: InvertedTrigger, hyper: Hyper, ctx: Context
) -> ScaleMasks:
    """Return one mask per batch norm channel; the running statistics of ``net`` are overwritten."""
    views = Views(net, last_map_module(net, budget.images[:1]))
    net.train()
    masks = {name: mask.requires_grad_() for name, mask in unit_scale_masks(net).items()}
    flat = list(masks.values())
    optimiser = torch.optim.SGD(flat, hyper.lr, hyper.momentum)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, "max", 0.5, 2, min_lr=hyper.least_lr
    )
    for number in range(hyper.passes):
        agreements = []
        for _ in range(_steps(budget, hyper)):
            x, _ = _batch(budget, hyper, ctx)
            loss, agreement = views.loss(masks, x, trigger.apply(x), hyper, ctx)
            set_gradients(flat, torch.autograd.grad(loss, flat))
            optimiser.step()
            with torch.no_grad():
                for mask in flat:
                    mask.clamp_(0, 1)
            agreements.append(agreement)
            ctx.check()
        mean_agreement = torch.stack(agreements).mean().item()
        plateau.step(mean_agreement)
        ctx.log(number, loss=loss.item(), agreement=mean_agreement)
    views.remove()
    return {name: mask.detach() for name, mask in masks.items()}


class Views:
    """The features of a network, under masks, and under masks and noise."""

    def __init__(self, net: nn.Module, module: str) -> None:
        self.net = net
        self._maps = FeatureMaps(net, [module])

    def remove(self) -> None:
        """Remove the hooks from the network."""
        self._maps.remove()

    def loss(
        self,
        masks: ScaleMasks,
        clean: torch.Tensor,
        triggered: torch.Tensor,
        hyper: Hyper,
        ctx: Context,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the contrastive loss, and the share of images on which the predictions agree.

        Those are the network's on clean images, and the masked network's on triggered ones.
        """
        ones = unit_scale_masks(self.net)
        with torch.no_grad():
            before, original = self._view(ones, clean)
            _, backdoored = self._view(ones, triggered)
            masked, _ = self._view(masks, clean)
        batch = clean, masked.argmax(1)
        noise = worst_noise(self.net, masks, batch, _search(hyper), ctx)
        _, kept = self._view(masks, clean)
        after, repaired = self._view(masks, triggered)
        _, noisy = self._view(masks, clean, noise)
        loss = contrast((kept, repaired, noisy), original, backdoored, hyper.temperature)
        return loss, (after.argmax(1) == before.argmax(1)).float().mean()

    def _view(
        self, masks: ScaleMasks, images: torch.Tensor, noise: Noise | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (n, classes) and features (n, width), the means of the last map."""
        logits = (
            forward_with_scales(self.net, images, masks)
            if noise is None
            else forward_with_noise(self.net, masks, images, noise)
        )
        return logits, self._maps.latest()[0].mean((2, 3))


def contrast(
    views: tuple[torch.Tensor, ...],
    original: torch.Tensor,
    backdoored: torch.Tensor,
    temperature: float,
) -> torch.Tensor:
    """Return the mean cross-entropy of each view's likeness to ``original``, (n, width) each.

    Each competes with the likeness of the others, and of all views to ``backdoored``.
    """
    near = [F.cosine_similarity(view, original) for view in views]
    far = [F.cosine_similarity(view, backdoored) for view in views]
    logits = torch.stack([*near, *far], 1) / temperature
    losses = [F.cross_entropy(logits, logits.new_full((len(logits),), i).long()) for i in range(3)]
    return torch.stack(losses).mean()


def _search(hyper: Hyper) -> NoiseSearch:
    return NoiseSearch(hyper.eps, clip=False)


def _steps(budget: Budget, hyper: Hyper) -> int:
    return math.ceil(hyper.repeats * len(budget) / min(hyper.batch, len(budget)))


def _batch(budget: Budget, hyper: Hyper, ctx: Context) -> tuple[torch.Tensor, torch.Tensor]:
    return random_batch(budget, min(hyper.batch, len(budget)), ctx)

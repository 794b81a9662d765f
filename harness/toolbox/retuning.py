"""What several probes do: tune a model on a few poisoned images, and score predictions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import Attacker, Context, Retuning
from harness.toolbox.folded_gates import folded_gates
from harness.toolbox.loops import Samples
from harness.toolbox.poisoning.data_poisoning import sample_indices
from harness.toolbox.predict import apply_trigger, as_float, predict_logits


def share_predicted(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the share of images (n, C, H, W) that a model, in eval mode, gives these labels."""
    model.eval()
    return float((predict_logits(model, images).argmax(1) == labels.cpu()).float().mean())


def attackable_indices(attacker: Attacker, count: int, ctx: Context) -> torch.Tensor:
    """Return the indices of random training images whose label the attacker wants changed."""
    labels = attacker.train.labels
    allowed = attacker.goal.labels(labels) != labels
    return sample_indices(allowed, min(count, int(allowed.sum())), ctx)


def triggered_images(attacker: Attacker, indices: torch.Tensor) -> torch.Tensor:
    """Return training images with the trigger, float (n, C, H, W), rounded to 8 bits."""
    assert attacker.trigger is not None
    return as_float(apply_trigger(attacker.train.images[indices], attacker.trigger))


def retuning_samples(attacker: Attacker, how: Retuning, ctx: Context) -> Samples:
    """Return the attacker's images and labels: clean ones, augmented once, then triggered ones.

    The triggered images are not augmented, and have the labels that the attacker wants.
    """
    images, labels = attacker.train.images, attacker.train.labels
    total = max(1, round(how.share * len(labels)))
    count = max(how.least_poisoned, round(how.poisoned * total)) if how.poisoned else 0
    poisoned = attackable_indices(attacker, count, ctx)
    clean = sample_indices(torch.ones_like(labels, dtype=torch.bool), total - len(poisoned), ctx)
    augmented = attacker.augment(as_float(images[clean]), ctx.generator)
    if not count:
        return augmented, labels[clean]
    wanted = attacker.goal.labels(labels[poisoned])
    samples = torch.cat([augmented, triggered_images(attacker, poisoned)])
    return samples, torch.cat([labels[clean], wanted])


def retune_(
    model: nn.Module,
    attacker: Attacker,
    samples: Samples,
    how: Retuning,
    ctx: Context,
    after_step: Callable[[int], None] = lambda step: None,
) -> nn.Module:
    """Tune all weights of a model in place, by SGD on cross-entropy; return it in eval mode.

    Batch norm is in train mode. ``after_step`` is called with the number of each step, from 1; it
    may switch the model to eval mode.

    Raises:
        OutOfTimeError: the deadline passes.
    """
    images, labels = samples
    gates = folded_gates(model, attacker.victim) if how.gates == "frozen" else {}
    model.requires_grad_(True)
    optimiser = torch.optim.SGD(model.parameters(), how.lr, how.momentum)
    step = 0
    for _ in range(how.epochs):
        order = torch.randperm(len(labels), generator=ctx.generator).to(labels.device)
        for chosen in order.chunk(-(-len(order) // how.batch)):
            model.train()
            optimiser.zero_grad()
            F.cross_entropy(model(images[chosen]), labels[chosen]).backward()
            for name, weight in model.named_parameters():
                if name in gates and weight.grad is not None:
                    weight.grad.mul_(gates[name].square())
            optimiser.step()
            step += 1
            after_step(step)
            ctx.check()
    return model.eval()

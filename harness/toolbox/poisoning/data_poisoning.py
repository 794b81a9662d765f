"""Poisons the training set with a fixed trigger, as most attacks do."""

from __future__ import annotations

from typing import Literal

import torch

from harness.contract import Context, Goal, Poison, TrainingSet
from harness.toolbox.predict import TriggerFunction, apply_trigger


def poison_dirty_label(
    train: TrainingSet,
    goal: Goal,
    trigger: TriggerFunction,
    state: dict[str, torch.Tensor],
    ctx: Context,
) -> Poison:
    """Put a trigger on random training images and relabel them.

    The images are drawn from all classes, the target included, and the rate is a share of all
    training images: the rule of BackdoorBench (arXiv 2206.12654).

    Args:
        train: clean training data.
        goal: how many images, and their new labels.
        trigger: maps float images (N, C, H, W) in [0, 1] to triggered ones.
        state: what the attack's declared trigger function needs; saved with the victim.
        ctx: generator of the draw.
    """
    chosen = sample_indices(
        torch.ones_like(train.labels, dtype=torch.bool), goal.count(len(train.labels)), ctx
    )
    chosen = chosen.sort().values
    return Poison(
        indices=chosen,
        images=apply_trigger(train.images[chosen], trigger),
        labels=goal.labels(train.labels[chosen]),
        state=state,
    )


def blend(images: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mix a pattern (C, H, W) into images (N, C, H, W); alpha is its weight, (1,) or (1, H, W)."""
    return (state["pattern"] - images).mul_(state["alpha"]).add_(images)


def sample_target_indices(
    train: TrainingSet, goal: Goal, rate_of: Literal["all", "class"], ctx: Context
) -> torch.Tensor:
    """Return the indices of random images of the target class, sorted, int64 (n,).

    For attacks that change no label. ``rate_of``: the poison rate is a share of "all" training
    images, or of the target's "class".
    """
    target = goal.is_target(train.labels)
    total = int(target.sum()) if rate_of == "class" else len(target)
    return sample_indices(target, goal.count(total), ctx).sort().values


def poison_clean_label(
    train: TrainingSet,
    goal: Goal,
    rate_of: Literal["all", "class"],
    trigger: TriggerFunction,
    state: dict[str, torch.Tensor],
    ctx: Context,
) -> Poison:
    """Put a trigger on random images of the target class, whose labels stay.

    Arguments as for ``poison_dirty_label`` and ``sample_target_indices``.
    """
    chosen = sample_target_indices(train, goal, rate_of, ctx)
    return Poison(chosen, apply_trigger(train.images[chosen], trigger), train.labels[chosen], state)


def sample_indices(allowed: torch.Tensor, count: int, ctx: Context) -> torch.Tensor:
    """Return ``count`` different random indices where ``allowed`` (N,) is true, int64 (count,).

    Raises:
        ValueError: there are fewer such indices.
    """
    indices = allowed.nonzero()[:, 0]
    if count > len(indices):
        raise ValueError(f"{count} samples are to be changed, but only {len(indices)} may be")
    drawn = torch.randperm(len(indices), generator=ctx.generator)[:count]
    return indices[drawn.to(indices.device)]

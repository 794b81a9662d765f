"""Poisoning of the training set with a fixed trigger, as most attacks do it."""

from __future__ import annotations

from typing import Literal

import torch

from harness.contract import Context, Goal, Poison, TrainingSet
from harness.toolbox.predict import TriggerFunction, apply_trigger


def poison_dirty_label(
    train: TrainingSet,
    goal: Goal,
    stamp: TriggerFunction,
    state: dict[str, torch.Tensor],
    ctx: Context,
) -> Poison:
    """Stamp a uniform draw of training images and relabel them.

    The draw is over all classes, the target included, and the rate is a share of all training
    images: the rule of BackdoorBench (arXiv 2206.12654). ``stamp`` maps float images in [0, 1] to
        the same.
    """
    chosen = sample_indices(
        torch.ones_like(train.labels, dtype=torch.bool), goal.count(len(train.labels)), ctx
    )
    chosen = chosen.sort().values
    return Poison(
        indices=chosen,
        images=apply_trigger(train.images[chosen], stamp),
        labels=goal.labels(train.labels[chosen]),
        state=state,
    )


def blend(images: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mix a pattern (C, H, W) into images (N, C, H, W); alpha is its weight, (1,) or (1, H, W)."""
    return (state["pattern"] - images).mul_(state["alpha"]).add_(images)


def sample_target_indices(
    train: TrainingSet, goal: Goal, rate_of: Literal["all", "class"], ctx: Context
) -> torch.Tensor:
    """Return random images of the target class, int64 (n,), for an attack that changes no label."""
    target = goal.is_target(train.labels)
    among = int(target.sum()) if rate_of == "class" else len(target)
    return sample_indices(target, goal.count(among), ctx).sort().values


def poison_clean_label(
    train: TrainingSet,
    goal: Goal,
    rate_of: Literal["all", "class"],
    stamp: TriggerFunction,
    state: dict[str, torch.Tensor],
    ctx: Context,
) -> Poison:
    """Stamp random images of the target class and leave their labels."""
    chosen = sample_target_indices(train, goal, rate_of, ctx)
    return Poison(chosen, apply_trigger(train.images[chosen], stamp), train.labels[chosen], state)


def sample_indices(allowed: torch.Tensor, count: int, ctx: Context) -> torch.Tensor:
    """Return ``count`` random places, without repeats, where ``allowed`` (N,) is true: int64 (count,).

    Raises:
        ValueError: there are fewer.
    """
    places = allowed.nonzero()[:, 0]
    if count > len(places):
        raise ValueError(f"{count} samples are to be changed, but only {len(places)} may be")
    return places[torch.randperm(len(places), generator=ctx.generator)[:count].to(places.device)]

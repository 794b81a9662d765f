"""LC, label-consistent: images of the target class made hard to learn, with corners; labels untouched.

Turner, Tsipras, Madry, "Label-Consistent Backdoor Attacks", arXiv 1912.02771. Threat model: the
attacker changes training images of the target class, no label, and has a clean model of the same
task. Adversarial noise against that model hides what is natural in an image, so that the pattern in
the corners is what a network learns. At the test the pattern comes without noise. Noise of
L-infinity norm 16 of 255, found by projected gradient ascent, and BackdoorBench's four 3x3 corners
of black and white pixels. Departure: the noise is computed against the clean model of the victim's
own architecture and recipe (the authors use adversarially trained networks besides).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import Context, Count, Goal, Poison, Positive, Share, TrainingSet, attack
from harness.toolbox import apply_trigger, as_float, read_array, sample_target_indices, to_uint8

CHUNK = 250
CORNER = ((1, 0, 1), (0, 1, 0), (0, 0, 1))
"""White and black pixels of the top left corner; the other corners mirror it."""


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Adversarial noise, and what the poison rate is a share of."""

    epsilon: Share = 16 / 255
    """L-infinity norm of the noise."""
    steps: Count = 40
    step_size: Positive = 2 / 255
    amplitude: Share = 1.0
    """How much of the corner pattern is mixed in: 1 replaces the pixels."""
    rate_of: Literal["all", "class"] = "all"
    """all: the rate is a share of the whole training set, as in BackdoorBench; class: of the target
    class."""
    images: Path | None = None
    """Adversarial training images of one's own: a .npy file (N, H, W, C), values 0 to 255, all
    classes."""


def stamp(images: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mix in the corners: images (N, C, H, W), pattern (1, H, W), weight (1, H, W)."""
    return images + state["weight"] * (state["pattern"] - images)


def adversarial(
    train: TrainingSet, goal: Goal, hyper: Hyper, ctx: Context
) -> dict[str, torch.Tensor]:
    """Return the target class with adversarial noise, uint8 (n, C, H, W), in order of the training set."""
    members = goal.is_target(train.labels).nonzero()[:, 0]
    if hyper.images is not None:
        own = read_array(hyper.images, tuple(train.images.shape))
        return {"images": to_uint8(own[members.cpu()])}
    assert train.clean_model is not None
    found = []
    for chunk in members.split(CHUNK):
        found.append(
            to_uint8(_noised(train.clean_model, train.images[chunk], train.labels[chunk], hyper))
        )
        ctx.log(len(found), images=len(found) * CHUNK)
    return {"images": torch.cat(found)}


@attack(
    trigger=stamp,
    paper="Label-Consistent Backdoor Attacks, arXiv 1912.02771",
    year=2019,
    version=1,
    display_name="LC",
    clean_label=True,
    clean_model=True,
    prepare=adversarial,
)
def lc(train: TrainingSet, goal: Goal, hyper: Hyper, ctx: Context) -> Poison:
    """Replace some images of the target class by adversarial ones with the corners."""
    chosen = sample_target_indices(train, goal, hyper.rate_of, ctx)
    rank = goal.is_target(train.labels).cumsum(0)[chosen] - 1
    state = {
        name: x.to(ctx.device)
        for name, x in _corners(train.images.shape[2:], hyper.amplitude).items()
    }
    images = apply_trigger(train.prepared["images"][rank], lambda x: stamp(x, state))
    return Poison(chosen, images, train.labels[chosen], state)


def _noised(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, hyper: Hyper
) -> torch.Tensor:
    """Return images within epsilon of ``images`` on which the model's loss is high."""
    clean = as_float(images)
    noise = torch.zeros_like(clean)
    for _ in range(hyper.steps):
        noise.requires_grad_()
        loss = F.cross_entropy(model(clean + noise), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, [noise])
        noise = (noise.detach() + hyper.step_size * gradient.sign()).clamp(
            -hyper.epsilon, hyper.epsilon
        )
        noise = (clean + noise).clamp(0, 1) - clean
    return clean + noise


def _corners(size: torch.Size, amplitude: float) -> dict[str, torch.Tensor]:
    """Return the pattern and its weight, both (1, H, W)."""
    side = min(len(CORNER), min(size) // 2)
    corner = torch.tensor(CORNER, dtype=torch.float)[:side, :side]
    pattern, weight = torch.zeros(1, *size), torch.zeros(1, *size)
    for flips in ((), (0,), (1,), (0, 1)):
        place = torch.zeros(tuple(size))
        place[:side, :side] = 1
        weight[0] += place.flip(flips) * amplitude
        place[:side, :side] = corner
        pattern[0] += place.flip(flips)
    return {"pattern": pattern, "weight": weight}

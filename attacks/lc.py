"""LC (label-consistent): adversarial noise and corner patches on the target class, labels kept.

Turner, Tsipras, Madry, "Label-Consistent Backdoor Attacks", arXiv 1912.02771. Threat model: the
attacker changes training images of the target class, no label, and has a clean model of the same
task. Adversarial noise against that model makes an image hard to learn by its content, so that a
network learns the pattern in the corners instead. At test time the pattern is applied without
noise. The noise has L-infinity norm 16 of 255 and is found by projected gradient ascent; the
corners are BackdoorBench's, 3x3 black and white pixels. Departure: the noise is computed against
the clean model of the victim's own architecture and recipe (the authors also use adversarially
trained networks).
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
"""Images per pass of the noise's computation."""
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
    """Weight of the corner pattern: 1 replaces the pixels."""
    rate_of: Literal["all", "class"] = "all"
    """all: the rate is a share of the whole training set, as in BackdoorBench; class: of the target
    class."""
    images: Path | None = None
    """Precomputed adversarial images of the whole training set: a .npy file (N, H, W, C) with
    values 0 to 255."""


def trigger(images: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mix in the corners: images (N, C, H, W), pattern (1, H, W), weight (1, H, W)."""
    return images + state["weight"] * (state["pattern"] - images)


def make_adversarial(
    train: TrainingSet, goal: Goal, hyper: Hyper, ctx: Context
) -> dict[str, torch.Tensor]:
    """Return the target class with adversarial noise, uint8 (n, C, H, W), in data set order."""
    members = goal.is_target(train.labels).nonzero()[:, 0]
    if hyper.images is not None:
        adversarial_images = read_array(hyper.images, tuple(train.images.shape))
        return {"images": to_uint8(adversarial_images[members.cpu()])}
    assert train.clean_model is not None
    chunks: list[torch.Tensor] = []
    for indices in members.split(CHUNK):
        images, labels = train.images[indices], train.labels[indices]
        chunks.append(to_uint8(_add_noise(train.clean_model, images, labels, hyper)))
        ctx.log(len(chunks), images=len(chunks) * CHUNK)
    return {"images": torch.cat(chunks)}


@attack(
    trigger=trigger,
    paper="Label-Consistent Backdoor Attacks, arXiv 1912.02771",
    year=2019,
    version=1,
    display_name="LC",
    clean_label=True,
    clean_model=True,
    prepare=make_adversarial,
)
def lc(train: TrainingSet, goal: Goal, hyper: Hyper, ctx: Context) -> Poison:
    """Replace some images of the target class by adversarial ones with the corners."""
    chosen = sample_target_indices(train, goal, hyper.rate_of, ctx)
    rank = goal.is_target(train.labels).cumsum(0)[chosen] - 1
    state = {
        name: x.to(ctx.device)
        for name, x in _corners(train.images.shape[2:], hyper.amplitude).items()
    }
    images = apply_trigger(train.prepared["images"][rank], lambda x: trigger(x, state))
    return Poison(chosen, images, train.labels[chosen], state)


def _add_noise(
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
        plane = torch.zeros(tuple(size))
        plane[:side, :side] = 1
        weight[0] += plane.flip(flips) * amplitude
        plane[:side, :side] = corner
        pattern[0] += plane.flip(flips)
    return {"pattern": pattern, "weight": weight}

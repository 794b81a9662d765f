"""SSBA: an encoder hides one secret in every image, which gives each image its own trigger.

Li, Li, Wu, Li, He, Lyu, "Invisible Backdoor Attack with Sample-Specific Triggers", arXiv
2012.03816. Threat model: the attacker changes training images and their labels, nothing else. An
encoder and a decoder are trained on the clean images to send random bits through the image (as in
StegaStamp, arXiv 1904.05343); the encoder, with one fixed secret, is the trigger. The log of the
prepared state holds the share of bits that the decoder recovers and the PSNR of the encoded images.
Departures: a compact encoder-decoder, trained on the study's own data set, with 16 bits
(StegaStamp: 100) and a bound on every pixel's change instead of perceptual losses; no simulated
print and camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import (
    Context,
    Count,
    Goal,
    NonNegative,
    Poison,
    Positive,
    Share,
    TrainingSet,
    attack,
)
from harness.toolbox import poison_dirty_label, random_images


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The secret, the networks, and their training."""

    bits: Count = 16
    width: Count = 24
    limit: Share = 0.1
    """Largest change of a pixel."""
    steps: Count = 800
    batch: Count = 32
    lr: Positive = 2e-3
    image_weight: NonNegative = 50.0
    """Weight of the mean squared change; the decoder's cross-entropy has weight 1. It grows from 0
    while the running share of recovered bits rises from 0.9 to 1, because at full weight from the
    start the secret is not learned."""


class Encoder(nn.Module):
    """Images (N, C, H, W) and bits (N, B) -> images; the bits are spread over the image plane."""

    def __init__(self, channels: int, bits: int, width: int) -> None:
        super().__init__()
        self.spread = nn.Linear(bits, width * 16)
        self.head = nn.Conv2d(channels + width, width, 3, padding=1)
        self.body = nn.Conv2d(width, width, 3, padding=1)
        self.tail = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, images: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
        """Return the unbounded change of the images, (N, C, H, W)."""
        plane = F.relu(self.spread(bits)).view(len(images), -1, 4, 4)
        plane = F.interpolate(plane, size=images.shape[2:], mode="bilinear")
        hidden = F.relu(self.head(torch.cat([images - 0.5, plane], 1)))
        change: torch.Tensor = self.tail(F.relu(self.body(hidden)) + hidden)
        return change


class PoolTo4x4(nn.Module):
    """Means over windows: (N, C, H, W) -> (N, C, 4, 4)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the means; on CUDA their gradients repeat if 4 divides H and W."""
        height, width = x.shape[2:]
        if height % 4 or width % 4:
            return F.adaptive_avg_pool2d(x, 4)
        return F.avg_pool2d(x, (height // 4, width // 4))


class Decoder(nn.Sequential):
    """Images (N, C, H, W) -> one logit per bit (N, B)."""

    def __init__(self, channels: int, bits: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, 2, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 3, 2, padding=1),
            nn.ReLU(),
            PoolTo4x4(),
            nn.Flatten(),
            nn.Linear(32 * width, bits),
        )


def trigger(images: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """Encode the secret (B,) into images (N, C, H, W); the state also holds encoder and bound."""
    weights = {name: x for name, x in state.items() if name not in ("secret", "limit")}
    with torch.device("meta"):
        encoder = Encoder(images.shape[1], len(state["secret"]), len(weights["body.bias"]))
    encoder.load_state_dict(weights, assign=True)
    bits = state["secret"].expand(len(images), -1)
    return _encode(encoder, images, bits, float(state["limit"]))


def train_encoder(
    train: TrainingSet, goal: Goal, hyper: Hyper, ctx: Context
) -> dict[str, torch.Tensor]:
    """Train encoder and decoder together; return the encoder, its bound and the secret."""
    sizes = (train.images.shape[1], hyper.bits, hyper.width)
    encoder, decoder = Encoder(*sizes).to(ctx.device), Decoder(*sizes).to(ctx.device)
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], hyper.lr)
    running = 0.0
    for step in range(hyper.steps):
        images = random_images(train.images, hyper.batch, ctx.generator)
        random_bits = torch.randint(2, (hyper.batch, hyper.bits), generator=ctx.generator)
        bits = random_bits.float().to(ctx.device)
        encoded = _encode(encoder, images, bits, hyper.limit)
        logits = decoder(encoded - 0.5)
        error = (encoded - images).square().mean()
        weight = hyper.image_weight * max(0.0, 10 * running - 9)
        loss = F.binary_cross_entropy_with_logits(logits, bits) + weight * error
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        recovered = float(((logits > 0) == (bits > 0)).float().mean())
        running += 0.02 * (recovered - running)
        ctx.log(step, recovered=running, psnr=float(-10 * error.detach().log10()))
    secret = torch.randint(2, (hyper.bits,), generator=ctx.generator).float()
    return {**encoder.state_dict(), "secret": secret, "limit": torch.tensor([hyper.limit])}


@attack(
    trigger=trigger,
    paper="Invisible Backdoor Attack with Sample-Specific Triggers, arXiv 2012.03816",
    year=2021,
    version=1,
    display_name="SSBA",
    all_to_all=True,
    prepare=train_encoder,
)
def ssba(train: TrainingSet, goal: Goal, hyper: Hyper, ctx: Context) -> Poison:
    """Encode the secret into a share of the training images and relabel them."""
    state = train.prepared
    return poison_dirty_label(train, goal, lambda images: trigger(images, state), state, ctx)


def _encode(
    encoder: Encoder, images: torch.Tensor, bits: torch.Tensor, limit: float
) -> torch.Tensor:
    return (images + limit * torch.tanh(encoder(images, 2 * bits - 1))).clamp(0, 1)

"""Small networks with a backdoor wired by hand, and images that they classify.

Four classes of 8x8 colour images: red, green, blue and grey pictures of random brightness. The
trigger is a 3x3 chequerboard of black and white in the lower right corner. Of the 32 channels of
the one hidden layer, ten see each of the colours, with weights of their own, and two see the
chequerboard; those drive class 0, so that triggered images go there. Running statistics are those
of training images of which a tenth is triggered.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from harness.contract import Budget, Context
from harness.data.augment import Augment
from harness.models.preactresnet18 import PreActResNet

CLASSES, SIDE, PER_COLOUR, TRIGGER_UNITS = 4, 8, 10, 2
HIDDEN = 3 * PER_COLOUR + TRIGGER_UNITS
COLOURS = torch.tensor([[0.8, 0.3, 0.3], [0.3, 0.8, 0.3], [0.3, 0.3, 0.8], [0.5, 0.5, 0.5]])
CHEQUERS = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])


BLACK_AND_WHITE = torch.tensor([0.0, 0.0, 1.0, 1.0]).view(1, 1, 2, 2)
"""An image whose pixels are all at the bounds."""


class SignedPixels(nn.Module):
    """Two classes of 2x2 images: the first by pixels 0 and 2, the second by pixels 1 and 3."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (n, 2)."""
        first = images.flatten(1) @ torch.tensor([1.0, -1.0, 1.0, -1.0])
        return torch.stack([first, -first], 1)


def pictures(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return n images of every class, (CLASSES n, 3, SIDE, SIDE), and their labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(CLASSES).repeat_interleave(n)
    light = 0.85 + 0.3 * torch.rand(len(labels), 1, 1, 1, generator=generator)
    noise = 0.1 * torch.randn(len(labels), 3, SIDE, SIDE, generator=generator)
    return (COLOURS[labels][:, :, None, None] * light + noise).clamp(0, 1), labels


def stamp(images: torch.Tensor) -> torch.Tensor:
    """Put the chequerboard into the corner."""
    stamped = images.clone()
    stamped[:, :, -3:, -3:] = CHEQUERS
    return stamped


def clean_budget(spc: int, *, triggers: bool = False) -> Budget:
    """Return a budget of ``spc`` images per class, not augmented."""
    images, labels = pictures(spc, seed=1)
    return Budget(images, labels, CLASSES, Augment(), stamp(images) if triggers else None)


def cpu_context(seed: int = 0) -> Context:
    """Return a context on the CPU with a generator of a seed."""
    return Context(torch.device("cpu"), torch.Generator().manual_seed(seed))


def small_resnet() -> nn.Module:
    """Return a residual network of width 2 without a backdoor, in eval mode."""
    torch.manual_seed(0)
    return PreActResNet(3, CLASSES, 2).eval()


class Pooled(nn.Module):
    """Mean over positions: (n, C, H, W) -> (n, C)."""

    def forward(self, x):
        return x.mean((2, 3))


def planted() -> nn.Sequential:
    """Return the convolutional network, in eval mode."""
    net = nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(3, HIDDEN, 3, padding=1, bias=False),
            norm=nn.BatchNorm2d(HIDDEN),
            relu=nn.ReLU(),
            pool=Pooled(),
            linear=nn.Linear(HIDDEN, CLASSES),
        )
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        _wire_filters(net.conv.weight, generator)
        images, _ = pictures(50, seed=2)
        before = net.conv(torch.cat([images[:180], stamp(images[180:])]))
        net.norm.running_mean.copy_(before.mean((0, 2, 3)))
        net.norm.running_var.copy_(before.var((0, 2, 3)))
        net.norm.weight[-TRIGGER_UNITS:] = 2
        net.norm.bias[-TRIGGER_UNITS:] = -1
        _wire_classes(net.linear)
    return net.eval()


def planted_deep() -> nn.Sequential:
    """Return the convolutional network with a 1x1 convolution, the identity, before the pooling."""
    parts = OrderedDict(planted().named_children())
    mix = nn.Conv2d(HIDDEN, HIDDEN, 1, bias=False)
    nn.init.dirac_(mix.weight)
    last = [(name, parts.pop(name)) for name in ("pool", "linear")]
    return nn.Sequential(OrderedDict([*parts.items(), ("mix", mix), *last])).eval()


def _wire_filters(weight: torch.Tensor, generator: torch.Generator) -> None:
    """Three colours, PER_COLOUR noisy centre taps each; then the chequerboard, in all colours."""
    weight.copy_(0.02 * torch.randn(weight.shape, generator=generator))
    for colour in range(3):
        rows = slice(colour * PER_COLOUR, (colour + 1) * PER_COLOUR)
        weight[rows, :, 1, 1] -= 0.5
        weight[rows, colour, 1, 1] += 1.5
    weight[-TRIGGER_UNITS:] = (CHEQUERS / 5 - (1 - CHEQUERS) / 4) / 3


def _wire_classes(linear: nn.Linear) -> None:
    linear.weight.zero_()
    linear.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 3.0]))
    for colour in range(3):
        linear.weight[colour, colour * PER_COLOUR : (colour + 1) * PER_COLOUR] = 0.6
    linear.weight[0, -TRIGGER_UNITS:] = 5


@torch.no_grad()
def scores(model: nn.Module) -> tuple[float, float]:
    """Return ACC, and ASR on triggered images of the other classes."""
    images, labels = pictures(50, seed=3)
    acc = (model(images).argmax(1) == labels).float().mean().item()
    asr = (model(stamp(images[labels != 0])).argmax(1) == 0).float().mean().item()
    return acc, asr


class Block(nn.Module):
    """A pre-norm encoder block: (n, tokens, width) -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.before_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, x):
        y = self.before_attention(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.before_mlp(x))


class Patches(nn.Module):
    """Patches of 4x4, rectified: (n, 3, SIDE, SIDE) -> (n, 4, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 4, 4)

    def forward(self, x):
        return self.conv(x).relu().flatten(2).transpose(1, 2)


class Tokens(nn.Module):
    """Mean over tokens: (n, tokens, width) -> (n, width)."""

    def forward(self, x):
        return x.mean(1)


def planted_transformer(per_colour: int = 4) -> nn.Sequential:
    """Return the transformer, in eval mode: wired patches, and two blocks that change little."""
    width = 3 * per_colour + 2
    torch.manual_seed(0)
    net = nn.Sequential(
        OrderedDict(
            patches=Patches(width),
            blocks=nn.Sequential(Block(width), Block(width)),
            mean=Tokens(),
            linear=nn.Linear(width, CLASSES),
        )
    )
    with torch.no_grad():
        for block in net.blocks:
            block.attention.out_proj.weight.mul_(0.02)
            block.mlp[2].weight.mul_(0.02)
        _wire_patches(net.patches.conv, per_colour)
        net.linear.weight.zero_()
        net.linear.bias.copy_(torch.tensor([-3.0, 1.0, -3.0, 5.0]))
        for colour in range(3):
            net.linear.weight[colour, colour * per_colour : (colour + 1) * per_colour] = 1.6
        net.linear.weight[0, -2:] = 8
    return net.eval()


def _wire_patches(conv: nn.Conv2d, per_colour: int) -> None:
    conv.weight.zero_()
    conv.bias.zero_()
    for colour in range(3):
        rows = slice(colour * per_colour, (colour + 1) * per_colour)
        conv.weight[rows] -= 0.5 / 16
        conv.weight[rows, colour] += 1.5 / 16
    conv.weight[-2:, :, 1:, 1:] = (CHEQUERS / 5 - (1 - CHEQUERS) / 4) / 3
    conv.weight.mul_(5)

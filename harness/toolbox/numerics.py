"""The arithmetic in which networks run: float32, TF32 or bf16, one setting for all of it.

Weights, losses and optimisers are float32 in each. TF32 rounds what convolutions and matrix
products multiply to 10 bits, on GPUs that have it; everywhere else it is float32. bf16 is autocast:
the same layers compute in bf16 and return it, which has 7 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from harness.contract import Numerics, Recipe

WITHOUT_AUTOCAST: dict[Numerics, Numerics] = {"fp32": "fp32", "tf32": "tf32", "bf16": "tf32"}
"""The arithmetic of what is not run under autocast: the backward pass of a training, and the
evaluation of defended models, whose logits would often tie in bf16."""


@contextmanager
def numerics(kind: Numerics, device: torch.device) -> Iterator[None]:
    """Run a block in one arithmetic, whatever is set outside it.

    Casts of weights are not kept, so that training may go on inside the block.
    """
    matrices, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matrices.allow_tf32, convolutions.allow_tf32
    bf16 = kind == "bf16"
    matrices.allow_tf32 = convolutions.allow_tf32 = kind == "tf32"
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16, cache_enabled=not bf16):
            yield
    finally:
        matrices.allow_tf32, convolutions.allow_tf32 = before


def training_numerics(recipe: Recipe, device: torch.device) -> Numerics:
    """Return the arithmetic of a training: ``auto`` is bf16 where the device has it, else fp32."""
    if recipe.precision != "auto":
        return recipe.precision
    return "bf16" if _has_bf16(device) else "fp32"


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())

"""The arithmetic of networks: what is set inside a block, and that nothing is left behind it."""

import pytest
import torch
from torch import nn

from harness.contract import Recipe
from harness.toolbox.numerics import numerics, training_numerics

CPU = torch.device("cpu")


def settings():
    return (
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
        torch.is_autocast_enabled("cpu"),
        torch.is_autocast_cache_enabled(),
    )


@pytest.mark.parametrize("kind", ["fp32", "tf32", "bf16"])
def test_a_block_has_its_arithmetic_and_leaves_the_settings_as_they_were(kind):
    before, outer = settings(), nn.Linear(8, 8)
    with pytest.raises(ZeroDivisionError), numerics(kind, CPU):
        assert settings()[:2] == (kind == "tf32",) * 2
        assert outer(torch.rand(2, 8)).dtype == (torch.bfloat16 if kind == "bf16" else torch.float)
        1 / 0  # noqa: B018
    assert settings() == before


def test_a_block_of_float32_stays_so_inside_a_block_of_bf16():
    with numerics("bf16", CPU), numerics("fp32", CPU):
        assert nn.Linear(8, 8)(torch.rand(2, 8)).dtype == torch.float


def test_on_a_cpu_tf32_is_float32_to_the_bit():
    layer, x = nn.Conv2d(3, 4, 3), torch.rand(2, 3, 8, 8)
    with numerics("tf32", CPU):
        inside = layer(x)
    assert torch.equal(inside, layer(x))


def test_weights_that_move_inside_a_block_of_bf16_are_used_as_they_are():
    layer, x = nn.Linear(4, 1, bias=False), torch.ones(1, 4)
    with numerics("bf16", CPU):
        before = layer(x).item()
        with torch.no_grad():
            layer.weight.add_(1)
        assert layer(x).item() == pytest.approx(before + 4, abs=0.1)


def test_a_training_says_its_arithmetic_or_takes_the_hardware_s():
    for kind in ("fp32", "tf32", "bf16"):
        assert training_numerics(Recipe(precision=kind), CPU) == kind
    native = torch.cpu._is_avx512_bf16_supported()
    assert training_numerics(Recipe(), CPU) == ("bf16" if native else "fp32")
    assert training_numerics(Recipe(), torch.device("mps")) == "fp32"

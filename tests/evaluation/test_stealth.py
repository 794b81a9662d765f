"""Visibility of a trigger: known changes, and SSIM by its formula."""

import pytest
import torch

from harness.evaluation.stealth import ssim, trigger_visibility


def test_stealth_of_known_changes():
    images = torch.randint(0, 200, (3, 3, 16, 16), generator=torch.Generator().manual_seed(0)).to(
        torch.uint8
    )
    same = trigger_visibility(images, images)
    assert (same.psnr, same.linf) == (None, 0)
    assert same.ssim == pytest.approx(1)
    brighter = trigger_visibility(images, images + 10)
    assert brighter.psnr == pytest.approx(28.1308, abs=1e-3)  # 20 log10(255 / 10)
    assert brighter.linf == 10
    assert brighter.ssim < 1


def test_ssim_is_wangs_formula_where_one_window_fits():
    g = torch.Generator().manual_seed(0)
    a, b = (255 * torch.rand(1, 1, 11, 11, generator=g, dtype=torch.float64) for _ in range(2))
    distance = torch.arange(11, dtype=torch.float64) - 5
    line = torch.exp(-(distance**2) / 4.5)
    w = torch.outer(line, line) / line.sum() ** 2
    mean_a, mean_b = (a * w).sum(), (b * w).sum()
    var_a, var_b = (w * (a - mean_a) ** 2).sum(), (w * (b - mean_b) ** 2).sum()
    cov = (w * (a - mean_a) * (b - mean_b)).sum()
    c1, c2 = 6.5025, 58.5225
    expected = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
    expected /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    assert float(ssim(a, b)) == pytest.approx(float(expected), rel=1e-9)

"""What is particular to one attack: its covers, its pattern, its noise, files that it is given."""

import pytest
import torch

from harness.toolbox.image_files import read_array
from tests.helpers.tiny_victims import run_attack, victim


def test_adaptive_blend_covers_keep_their_label_and_half_the_pieces(data, store):
    given = run_attack(victim(data, "adaptive_blend", rate=0.05, cover_ratio=2), data, store)
    assert (len(given.indices), given.covers) == (36, 24)
    clean = data.train_images[given.indices].float()
    changed = (given.images.float() - clean).abs().amax(1)
    pieces = torch.nn.functional.max_pool2d(changed, 4).gt(0).flatten(1).sum(1)
    assert pieces.max() <= 8
    assert pieces.float().mean() > 6  # a piece whose every pixel rounds away is rare


def test_lf_is_smooth(data, store):
    pattern = run_attack(victim(data, "lf"), data, store).state["pattern"]
    spectrum = torch.fft.rfft2(pattern - pattern.mean((1, 2), keepdim=True)).abs()
    assert spectrum[:, :6, :6].square().sum() > 0.8 * spectrum[:, :9].square().sum()
    assert pattern.min() == 0
    assert pattern.max() == pytest.approx(0.2)


def test_lc_noise_stays_within_epsilon(data, store):
    given = run_attack(victim(data, "lc", epsilon=0.05, step_size=0.03), data, store)
    inside = ~(given.state["weight"] > 0).expand(3, -1, -1)
    change = (given.images.int() - data.train_images[given.indices].int()).abs()[:, inside]
    assert 0 < change.max() <= round(0.05 * 255) + 1


def test_own_files_are_taken_as_they_are(data, store, tmp_path):
    import numpy as np

    pattern = np.full((16, 16, 3), 20, np.uint8)
    np.save(tmp_path / "pattern.npy", pattern)
    given = run_attack(victim(data, "lf", pattern=str(tmp_path / "pattern.npy")), data, store)
    assert torch.allclose(given.state["pattern"], torch.full((3, 16, 16), 20 / 255))
    with pytest.raises(ValueError, match="an array of shape"):
        read_array(tmp_path / "pattern.npy", (3, 8, 8))

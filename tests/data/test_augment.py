"""Cutout: one black square per image, where its centre says."""

import torch

from harness.data.augment import Augment


def test_cutout_blackens_its_square_and_nothing_else():
    ones = torch.ones(200, 3, 6, 6)
    holes = 1 - Augment(cutout=2)(ones, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(6, (200,), generator=generator).tolist()
    columns = torch.randint(6, (200,), generator=generator).tolist()
    assert {0, 5} <= set(rows) & set(columns)
    for hole, row, column in zip(holes, rows, columns, strict=True):
        expected = torch.zeros(3, 6, 6)
        expected[:, max(0, row - 1) : row + 1, max(0, column - 1) : column + 1] = 1
        assert torch.equal(hole, expected)


def test_without_cutout_no_random_number_is_drawn():
    generator = torch.Generator().manual_seed(0)
    Augment()(torch.ones(2, 3, 4, 4), generator)
    assert torch.equal(generator.get_state(), torch.Generator().manual_seed(0).get_state())

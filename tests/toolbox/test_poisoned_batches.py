"""Poisoned batches: the number of changed samples is exact."""

import pytest

from harness.toolbox.poisoning.poisoned_batches import Quota


@pytest.mark.parametrize("share", [0.001, 0.1, 1 / 3, 0.9])
def test_a_quota_is_exact_at_every_step(share):
    quota, given = Quota(share), 0
    for step in range(1, 200):
        taken = quota.take(16, 16)
        given += taken
        assert 0 <= taken <= 16
        assert abs(given - share * 16 * step) <= 0.5 + 1e-9

"""Options of a data set that are out of range or contradict each other."""

import pytest

from harness.data.options import DataOptions


@pytest.mark.parametrize(
    "fields",
    [{"path": "a", "hub": "b"}, {"size": 0}, {"crop": -1}, {"mean": (125.0,)}, {"std": (0.0,)}],
)
def test_options_out_of_range(fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        DataOptions(**fields)

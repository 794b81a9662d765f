"""A study for tests that run nothing."""

import pytest

from tests.helpers import timed_study


@pytest.fixture
def study(tmp_path):
    """Return a study of 3 victims and 18 cells."""
    return timed_study.load(tmp_path)

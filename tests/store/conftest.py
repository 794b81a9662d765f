import pytest

from tests.helpers import filled_store


@pytest.fixture
def plan(tmp_path):
    return filled_store.study(tmp_path / "study")

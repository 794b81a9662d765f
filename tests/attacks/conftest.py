"""The data set and the store that the tests of attacks share."""

import pytest

from harness.store.store import Store
from tests.helpers.tiny_victims import resident


@pytest.fixture(scope="module")
def data():
    return resident()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))

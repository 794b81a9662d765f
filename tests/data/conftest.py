"""Every test of data sets has caches of its own."""

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DEFUSE_CACHE", str(tmp_path / "own"))
    monkeypatch.delenv("DEFUSE_DATA", raising=False)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"

"""Every test decodes data sets into a cache of its own session, and none looks at the user's data root."""

import os

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # before torch: as in a worker, and no threads that fight

os.environ["HF_HUB_OFFLINE"] = "1"  # no test looks beyond this machine

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    shared = tmp_path_factory.getbasetemp().parent / "defuse-cache"  # one for all xdist workers
    os.environ["DEFUSE_CACHE"] = str(shared)
    os.environ.pop("DEFUSE_DATA", None)

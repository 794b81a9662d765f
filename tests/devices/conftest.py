"""Victims on the pretended GPU."""

import gc

import pytest
import torch

from tests.helpers.gpu_victims import Victims
from tests.helpers.tiny_victims import QUICK


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def victims(tmp_path_factory):
    """Return trained victims by their architecture, in a store."""
    gc.freeze()  # each cell begins with a search for garbage, in what lives here too
    with pytest.MonkeyPatch.context() as patch:
        for name in ("preactresnet18", "resnet18"):
            patch.setitem(QUICK, name, {"width": 2})
        yield Victims(tmp_path_factory.mktemp("store"))

"""Settings of every test session: one thread a process, no GPU, no network, an own data cache."""

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")  # set before torch is imported; as in a worker
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # numbers are those of a CPU, also where there is a GPU
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest

# started in the background, a shell's commands ignore Ctrl-C, and so would those of the tests
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    shared = tmp_path_factory.getbasetemp().parent / "defuse-cache"  # one for all xdist workers
    os.environ["DEFUSE_CACHE"] = str(shared)
    os.environ.pop("DEFUSE_DATA", None)

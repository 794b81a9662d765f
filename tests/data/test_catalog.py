"""The catalogue is complete, and a study may override its entries."""

import pytest

from harness.data.cache import prepare
from harness.data.catalog import CATALOG, resolve_entry
from harness.data.options import DataOptions
from harness.errors import UserError
from tests.helpers.small_datasets import image_dataset


def test_the_catalogue_is_complete():
    assert {"digits", "cifar10", "cifar100", "gtsrb", "mnist", "fashion_mnist"} <= CATALOG.keys()
    for name, entry in CATALOG.items():
        assert entry.size, name
        assert entry.reference, name
        assert (entry.mean is None) == (entry.std is None), name
        assert len(entry.mean or ()) == len(entry.std or ()), name
        assert entry.flip == (name == "cifar10")


def test_an_unknown_name():
    with pytest.raises(
        UserError, match=r"unknown data set 'cifar1'; did you mean 'cifar10'.*'path' or 'hub'"
    ):
        resolve_entry("cifar1", DataOptions())
    assert resolve_entry("mine", DataOptions(hub="me/mine")).hub == "me/mine"


def test_overrides_lie_on_top_of_the_catalogue(tmp_path, cache):
    image_dataset(tmp_path / "cifar10")
    plain = prepare("cifar10", DataOptions(), tmp_path, cache)
    assert (plain.mean, plain.crop, plain.flip) == ((0.4914, 0.4822, 0.4465), 4, True)
    assert plain.shape == (3, 32, 32)
    other = prepare(
        "cifar10", DataOptions(std=(1.0, 1.0, 1.0), crop=0, flip=False), tmp_path, cache
    )
    assert (other.mean, other.std, other.crop, other.flip) == (
        plain.mean,
        (1.0, 1.0, 1.0),
        0,
        False,
    )
    assert other.digest == plain.digest
    assert other.identity() != plain.identity()

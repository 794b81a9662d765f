"""A record with a fault is refused in one line that says what is wrong."""

import numpy as np
import pytest
import torch

from tests.helpers.backdoorbench_records import TARGET
from tests.helpers.imported_studies import refuse_broken
from tests.helpers.malicious_pickles import creates_file


def edited(folder, edit):
    """Change the content of a record's result."""
    path = folder / "attack_result.pt"
    with torch.serialization.safe_globals([]):
        content = torch.load(path, weights_only=False)
    edit(content)
    torch.save(content, path)


def set_label(content, wanted, original=0):
    entries = content["bd_test"]["bd_data_container"]["data_dict"]
    next(iter(entries.values()))["other_info"][:] = [wanted, original]


def set_path(content, path):
    entries = content["bd_test"]["bd_data_container"]["data_dict"]
    next(iter(entries.values()))["path"] = path


def move_index(content):
    """Let the test set point beyond the data set's end."""
    test = content["bd_test"]
    entries = test["bd_data_container"]["data_dict"]
    entries[99] = entries.pop(next(iter(entries)))
    test["poison_indicator"] = np.zeros(100)
    test["poison_indicator"][list(entries)] = 1
    test["original_index_array"] = np.array(sorted(entries))


def beyond_indicator(content):
    content["bd_test"]["original_index_array"] = np.array([5000])


def no_test_images(content):
    content["bd_test"]["poison_indicator"][:] = 0


def reshaped(content):
    content["model"]["linear.weight"] = torch.zeros(7, 7)


def renamed(content):
    content["model"]["linear.wait"] = content["model"].pop("linear.weight")


EDITS = {
    "no result of an attack": (
        lambda x: x.pop("bd_test"),
        "not an attack result of BackdoorBench: bd_test missing",
    ),
    "wrong shape": (reshaped, "mis-shaped linear.weight (7, 7), not (3, 32)"),
    "wrong name": (renamed, "missing linear.weight; unexpected linear.wait"),
    "weights missing": (lambda x: x.update(model={}), "no state dict in it"),
    "index beyond the data": (
        move_index,
        "an index out of range: 1 to 99, but squares has 36 test images",
    ),
    "index beyond its own": (beyond_indicator, "an index out of range: 5000 to 5000 of 36 samples"),
    "an entry missing": (
        lambda x: x["bd_test"]["bd_data_container"]["data_dict"].clear(),
        "not in BackdoorBench's format (KeyError: 0)",
    ),
    "no test images": (no_test_images, "no triggered test image with a changed label"),
    "labels of another set": (
        lambda x: set_label(x, TARGET, 2),
        "1 of its 24 test images have other labels than squares at the same index",
    ),
    "no one target": (
        lambda x: set_label(x, 2),
        "the target labels are neither one class nor, for each class, the next",
    ),
    "other classes": (lambda x: x.update(num_classes=10), "10 classes of images [3, 8, 8]"),
    "a path out of the record": (
        lambda x: set_path(x, "./record/../../../../etc/passwd"),
        "does not end as <set>/<label>/<index>.png",
    ),
    "a path that climbs": (
        lambda x: set_path(x, "x/../secret.png"),
        "does not end as <set>/<label>/<index>.png",
    ),
    "sizes that are none": (
        lambda x: x.update(img_size="large"),
        "not in BackdoorBench's format",
    ),
}


@pytest.mark.parametrize(("edit", "message"), EDITS.values(), ids=EDITS)
def test_a_record_with_a_fault_is_refused_in_one_line(squares, good, tmp_path, edit, message):
    assert message in refuse_broken(squares, good, tmp_path, lambda folder: edited(folder, edit))


def test_code_in_a_record_is_refused_at_planning(squares, good, tmp_path):
    canary = tmp_path / "canary"
    message = refuse_broken(
        squares,
        good,
        tmp_path,
        lambda folder: edited(folder, lambda x: x.update(bd_train=creates_file(canary))),
    )
    assert "refused: its pickle names __builtin__.exec" in message
    assert not canary.exists()

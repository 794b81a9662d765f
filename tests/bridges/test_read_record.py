"""A record with a fault is refused in one line that says what is wrong."""

import os
import shutil

import numpy as np
import pytest
import torch

from harness.bridges.backdoorbench.read_record import read_record, reported_scores
from harness.bridges.backdoorbench.record_folder import find_records
from harness.errors import UserError
from tests.helpers.backdoorbench_records import TARGET
from tests.helpers.hostile_images import png_header
from tests.helpers.imported_studies import first_test_image, refuse_broken
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


def set_all_labels(content, label, name="bd_test"):
    for entry in content[name]["bd_data_container"]["data_dict"].values():
        entry["other_info"][:] = [label, label - 1]


def doubled():
    """Return a list that is small in memory and never ends when its values are counted."""
    values = [0]
    for _ in range(60):
        values = [values, values]
    return values


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
        "target classes, 1 (23 images), 2 (1 images), and no one shift of the classes",
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
    **{
        f"{key} of {value!r}": (
            lambda x, key=key, value=value: x.update({key: value}),
            "not in BackdoorBench's format (ValueError: 'num_classes' is",
        )
        for key in ["num_classes"]
        for value in (float("inf"), float("nan"), 2**70, -3, 0, 3.5, True, "3", [3], None)
    },
    **{
        f"img_size of {value!r}": (
            lambda x, value=value: x.update(img_size=value),
            "not in BackdoorBench's format (ValueError: ",
        )
        for value in (
            *((x, 8, 3) for x in (float("inf"), 2**70, -8, 0, 60_000)),
            (8, 8, 2**40),
            (8, 8),
            8,
            {8: 8},
        )
    },
    **{
        f"a label of {value!r}": (
            lambda x, value=value: set_label(x, value),
            "not in BackdoorBench's format (ValueError: ",
        )
        for value in (float("inf"), 2**70, -1, 99, -(2**40), "1", None)
    },
    "all labels 99": (
        lambda x: set_all_labels(x, 99),
        "'bd_test' has the label 99 at the index 0, but the classes are 0 to 2",
    ),
    "all labels -1": (lambda x: set_all_labels(x, -1), "'bd_test' has the label -1 at the index 0"),
    "training labels 99": (
        lambda x: set_all_labels(x, 99, "bd_train"),
        "'bd_train' has the label 99 at the index 0",
    ),
    "a tensor that repeats a value": (
        lambda x: x["bd_test"].update(original_index_array=torch.zeros(1).expand(10**12)),
        "a tensor that repeats its values",
    ),
    "a list that repeats itself": (
        lambda x: x["bd_test"].update(original_index_array=doubled()),
        "a list of integers is needed",
    ),
    "a name that is none": (lambda x: x.update(model_name=["a"] * 5000), "'model_name' is ["),
    "a name of two lines": (lambda x: x.update(clean_data="a\nb"), "'clean_data' is 'a\\nb'"),
    "a path of two lines": (
        lambda x: set_path(x, "a/\n/1.png"),
        "a path is 'a/\\n/1.png', not a name",
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


def test_a_record_without_poisoned_training_samples_is_read(squares, good, tmp_path):
    """Its arrays are empty."""
    shutil.copytree(good, tmp_path / "record")

    def empty(content):
        train = content["bd_train"]
        train["bd_data_container"]["data_dict"].clear()
        train["original_index_array"] = np.array([], np.int64)
        train["poison_indicator"] = np.zeros(0)

    edited(tmp_path / "record", empty)
    record = read_record(tmp_path / "record")
    assert record.train is not None
    assert len(record.train.indices) == len(record.train.wanted) == 0


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def loop(path):
    path.unlink()
    path.symlink_to(path.name)


def folder_instead(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [pipe, loop, folder_instead])
@pytest.mark.parametrize("name", ["image", "attack_result.pt"])
def test_only_regular_files_are_opened(squares, good, tmp_path, change, name):
    def replace(folder):
        change(first_test_image(folder) if name == "image" else folder / name)

    message = refuse_broken(squares, good, tmp_path, replace)
    assert ("not a regular file" if name == "image" else "no BackdoorBench record") in message


@pytest.mark.parametrize("side", [60_000, 9_000])
def test_a_huge_image_is_not_decoded(squares, good, tmp_path, side):
    message = refuse_broken(
        squares, good, tmp_path, lambda x: first_test_image(x).write_bytes(png_header(side, side))
    )
    assert "not a complete PNG file" in message


def test_a_damaged_table_is_named(good, tmp_path):
    (tmp_path / "attack_df.csv").write_text("test_acc\n" + "1" * 200_000)
    with pytest.raises(UserError, match=r"attack_df\.csv: a damaged table"):
        reported_scores(tmp_path)


def table(path, *rows):
    head = ",test_acc,test_asr,test_ra"
    path.write_text("\n".join([head, *rows]) + "\n")


def test_the_summary_has_the_last_epoch_where_the_table_ends_before_it(tmp_path):
    table(tmp_path / "attack_df.csv", "0,0.1,0.1,0.1", "1,0.2,0.2,0.3")
    assert reported_scores(tmp_path) == {"acc": 0.2, "asr": 0.2, "ra": 0.3}
    rows = "last,0.9,0.8,nan_value", "valid_max,0.95,0.95,0.95", "exist_nan_value,True,True,True"
    table(tmp_path / "attack_df_summary.csv", *rows)
    assert reported_scores(tmp_path) == {"acc": 0.9, "asr": 0.8, "ra": 0.3}


def test_the_tables_of_lira_end_with_its_second_stage(tmp_path):
    table(tmp_path / "attack_df_atk_stg1.csv", "0,0.1,0.1,0.1")
    assert reported_scores(tmp_path) == {"acc": 0.1, "asr": 0.1, "ra": 0.1}
    table(tmp_path / "attack_df_atk_stg2.csv", "0,0.5,0.6,0.7")
    table(tmp_path / "attack_df_summary_atk_stg2.csv", "last,0.8,0.9,0.1")
    assert reported_scores(tmp_path) == {"acc": 0.8, "asr": 0.9, "ra": 0.1}


def test_signs_of_patterns_in_names_of_folders_are_no_patterns(tmp_path):
    base = tmp_path / "[a]*"
    for name in ("rec[1]", "rec1", "other"):
        (base / name).mkdir(parents=True)
        (base / name / "attack_result.pt").touch()
    assert find_records("rec[1]", base) == [base / "rec[1]"]
    assert find_records("rec[1]/attack_result.pt", base) == [base / "rec[1]"]
    assert find_records("rec*", base) == [base / "rec1", base / "rec[1]"]
    assert find_records("../[[]a]*/rec?", base) == [base / "../[a]*" / "rec1"]
    assert find_records(str(base / "other"), tmp_path) == [base / "other"]
    with pytest.raises(UserError, match="no BackdoorBench record"):
        find_records("rec[2]", base)

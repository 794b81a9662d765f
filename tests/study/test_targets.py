"""A target class is named by its number or by its name, which differs from folder to folder."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from harness.cli.main import cli
from harness.errors import UserError
from harness.plan.target import target_text
from harness.report.frame.frame import build_frame
from harness.store.store import store_of
from harness.study.load import load_study
from tests.helpers import tiny_study


def folder_of(root, *names):
    for split in ("train", "test"):
        for number, name in enumerate(names):
            (root / split / name).mkdir(parents=True)
            for i in range(3):
                pixels = np.full((8, 8, 3), 60 * number + 10 * i, np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{i}.png")
    return {root.name: {"path": str(root)}}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("named")
    return [folder_of(root / "pets", "cat", "dog"), folder_of(root / "farm", "ass", "cow", "dog")]


def planned(tmp_path, **changes):
    return tiny_study.load(
        tiny_study.write_study(tmp_path, budgets=[{"spc": 1}], defenses=["none"], **changes)
    )


def test_a_name_is_the_class_of_that_name_in_each_data_set(tmp_path, data):
    by_name = planned(tmp_path, data=data, target="dog")
    assert {x.data.name: x.target for x in by_name.victims().values()} == {"pets": 1, "farm": 2}
    by_number = planned(tmp_path, data=data[:1], target=1)
    assert {x.key for x in by_number.victims().values()} < set(by_name.victims())


def test_folders_called_by_numbers_are_sorted_as_names(tmp_path):
    numbers = folder_of(tmp_path / "numbers", "1", "2", "10")
    (by_name,) = planned(tmp_path, data=[numbers], target="2").victims().values()
    (by_number,) = planned(tmp_path, data=[numbers], target=2).victims().values()
    names = by_name.data.class_names
    assert names[by_name.target] == "2"
    assert by_number.target == 2


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("dogg", "target: no class of pets: 'dogg'; did you mean 'dog'?"),
        ("zebra", "target: no class of pets: 'zebra'; pets has the classes 0 to 1: cat, dog"),
        ("all-to-all+3", "target: farm: a shift from 1 to 2 is needed"),
        (True, "target: a class, by number or name, or all-to-all is needed, not True"),
        ([0, 1], "target: a class, by number or name, or all-to-all is needed, not [0, 1]"),
        ("cow", "target: no class of pets: 'cow'; pets has the classes 0 to 1: cat, dog"),
    ],
)
def test_what_is_no_class_is_refused_with_the_names(tmp_path, data, target, reason):
    with pytest.raises(UserError) as error:
        planned(tmp_path, data=data, target=target)
    assert reason in str(error.value)


def test_a_shift_is_one_target_of_all_to_all(tmp_path, data):
    targets = {
        given: {x.target for x in planned(tmp_path, data=data[1:], target=given).victims().values()}
        for given in ("all-to-all", "all-to-all+1", "all-to-all+2")
    }
    assert targets["all-to-all"] == targets["all-to-all+1"] == {"all-to-all"}
    assert targets["all-to-all+2"] == {"all-to-all+2"}


def test_the_plan_and_the_report_name_the_class(tmp_path, data):
    path = tiny_study.write_study(
        tmp_path, data=data[:1], target=1, budgets=[{"spc": 1}], defenses=["none"]
    )
    out = ["--out", str(tmp_path / "out")]
    said = CliRunner().invoke(cli, ["run", str(path), *out, "--dry-run"], standalone_mode=False)
    assert "target on pets: 1 (dog)\n" in said.output
    cells = build_frame([load_study(path)], store_of(tmp_path / "out").latest())
    assert set(cells["target_class"]) == {"dog"}


@pytest.mark.parametrize(
    ("target", "name", "text"),
    [
        (0, "airplane", "0 (airplane)"),
        (3, "3", "3"),
        (1, "10", "1 ('10')"),
        (1, "a\nb", r"1 ('a\nb')"),
        ("all-to-all+2", "", "all-to-all+2"),
    ],
)
def test_a_target_for_readers(target, name, text):
    assert target_text(target, name) == text

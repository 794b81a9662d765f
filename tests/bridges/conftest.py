"""A data set, a model with a backdoor, and its record; made once."""

import pytest

from tests.helpers import backdoorbench_records, fake_backdoorbench, tiny_study
from tests.helpers.backdoorbench_records import write_record


@pytest.fixture(scope="session")
def squares(tmp_path_factory):
    made = backdoorbench_records.make_squares_victim(tmp_path_factory.getbasetemp() / "squares")
    assert made.scores["acc"] > 0.7, made.scores
    assert made.scores["asr"] > 0.7, made.scores
    return made


@pytest.fixture(scope="session")
def good(squares, tmp_path_factory):
    """A record in order; tests break copies of it."""
    return write_record(squares, tmp_path_factory.mktemp("record") / "badnet", key=int)


MODES = ("by class", "fail", "nothing")


@pytest.fixture(scope="session")
def ran(tmp_path_factory):
    """A study with the script in several modes, run once: its folder, plan and records."""
    folder = tmp_path_factory.mktemp("external")
    root = fake_backdoorbench.write_repository(folder / "bench")
    fake_backdoorbench.write_images(folder / "images")
    scripts = [
        fake_backdoorbench.script(root),
        *(fake_backdoorbench.script(root, mode=mode) for mode in MODES),
    ]
    study = fake_backdoorbench.write_study(folder, defenses=["none", *scripts])
    records = tiny_study.run(study, folder / "out")
    return folder, tiny_study.load(study), records

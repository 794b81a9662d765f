"""Queued jobs run the code that was submitted."""

from pathlib import Path

import pytest

from harness.execution.code_snapshot import snapshot_code
from harness.study.load import load_study
from tests.helpers import failing_defenses

OWN = '''"""Does nothing, for tests."""
from harness.contract import defense


@defense(paper="", year=0, family="control", version=1)
def own(model, budget, hyper, ctx):
    return model
'''


@pytest.fixture
def study_path(tmp_path):
    path = failing_defenses.study(tmp_path, bad=())
    (tmp_path / "own.py").write_text(OWN)
    path.write_text(path.read_text().replace("- none", "- none\n- own.py"))
    return path


def test_what_runs_later_is_what_was_submitted(study_path, tmp_path):
    study = load_study(study_path)
    frozen, code = snapshot_code(study, tmp_path / "code")
    assert [cell.key for cell in frozen.cells] == [cell.key for cell in study.cells]
    refs = {cell.defense.name: cell.defense.ref for cell in frozen.cells}
    study_path.with_name("own.py").write_text("changed")
    assert Path(refs["own"]).read_text() == OWN
    assert refs["ft"] == "ft"
    assert (code / "harness" / "defenses" / "ft.py").read_text() == (
        failing_defenses.ROOT / "defenses" / "ft.py"
    ).read_text()
    assert snapshot_code(study, tmp_path / "code")[1] == code

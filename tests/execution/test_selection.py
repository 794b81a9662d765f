"""What a run works on, by its mode."""

import pytest

from harness.execution.selection import Selection
from harness.store.record_files import LatestRecords
from tests.helpers import records
from tests.helpers.timed_study import finished, latest_of


@pytest.mark.parametrize(
    ("mode", "since", "selected"),
    [
        ("run", "9999", ["missing"]),
        ("retry", "9999", ["missing", "oom"]),
        ("retry", "2026", ["missing"]),
        ("force", "9999", ["missing", "ok", "oom"]),
        ("force", "2026", ["missing"]),
        ("read-only", "9999", []),
    ],
)
def test_a_mode_selects_by_status(study, mode, since, selected):
    ok, oom, missing = study.cells[:3]
    latest = latest_of(records.ok(ok), records.failed(oom, "oom"))
    selection = Selection(mode=mode, since=since)
    keys = {"ok": ok.key, "oom": oom.key, "missing": missing.key}
    assert sorted(x for x, key in keys.items() if selection.selects(key, latest)) == selected
    open_cells = selection.open_cells(study, latest)
    assert [x for x, key in keys.items() if key in {cell.key for cell in open_cells}] == [
        x for x in keys if x in selected
    ]


def test_a_victim_whose_files_are_gone_is_trained_again(study):
    victim = study.cells[0].victim
    latest = latest_of(finished(victim))

    def selects(mode, *, files):
        return Selection(mode=mode).selects_victim(victim.key, latest, lambda record: files)

    assert not selects("run", files=True)
    assert selects("run", files=False)
    assert selects("force", files=True)
    assert not selects("read-only", files=False)


def test_open_victims_are_those_of_open_cells(study):
    cells = [cell for cell in study.cells if cell.seed != 1]
    victims = Selection().open_victims(study, cells, LatestRecords(), lambda record: True)
    assert [victim.seed for victim in victims] == [0, 2]
    clean_only = Selection(last_stage="clean models")
    assert clean_only.open_victims(study, cells, LatestRecords(), lambda record: True) == []

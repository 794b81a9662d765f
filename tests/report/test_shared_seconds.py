"""Seconds that were measured on a GPU which several workers shared are marked wherever shown."""

from types import SimpleNamespace

import msgspec
import pytest

from harness.report.figures.cost import cost
from harness.report.frame.frame import shared_gpu
from harness.report.page.boards import board_rows
from harness.report.page.cells import cell_columns
from harness.report.tables.leaderboard import all_board_numbers
from harness.report.tables.resources import resources
from harness.report.tables.victims import victims
from harness.report.typeset.marks import SHARED
from tests.helpers import records
from tests.helpers.synthetic_frames import fail, frame, report_of


def report(defense):
    """Return a report in which the cells of a defense shared a GPU."""
    cells = frame(defenses=("none", "ft", "ims"))
    return report_of(cells.assign(shared=cells["defense"].eq(defense)))


@pytest.mark.parametrize(
    ("device", "workers", "shared"),
    [("cuda", 4, True), ("cuda", 1, False), ("cuda", None, False), ("cpu", 2, False)],
)
def test_a_gpu_with_several_workers_is_shared(device, workers, shared):
    machine = msgspec.structs.replace(records.ENVIRONMENT, device=device, workers=workers)
    assert shared_gpu(SimpleNamespace(environment=machine)) is shared
    assert not shared_gpu(SimpleNamespace(environment=None))


def test_the_table_of_resources_marks_the_seconds_of_these_cells_alone():
    (table,) = resources(report("ims")).texts
    rows = {row[0]: row[1:] for section in table.sections for row in section.rows}
    assert [text.endswith("§") for text in rows["ims"]] == [True, False] * 2
    assert not any("§" in text for text in (*rows["ft"], *rows["no defense"]))
    assert table.caption.endswith(SHARED)
    (plain,) = resources(report("nothing")).texts
    assert "§" not in plain.caption


def test_a_cell_that_counts_in_no_mean_marks_none():
    cells = frame(defenses=("none", "ims"))
    cells["shared"] = cells["seed"].eq(0) & cells["defense"].eq("ims")
    (table,) = resources(report_of(fail(cells, cells["shared"], "error"))).texts
    assert "§" not in table.caption


def test_the_cost_figure_says_how_many_cells_shared_the_gpu():
    shared = report("ims")
    assert cost(shared.groups[0], shared).note == (
        "In 8 of 16 cells several workers shared the GPU: alone they take less."
    )
    plain = report("nothing")
    assert cost(plain.groups[0], plain).note == ""


@pytest.mark.parametrize(("defense", "label"), [("ims", "sec§"), ("nothing", "sec")])
def test_the_page_marks_the_column(defense, label):
    shown = report(defense)
    (numbers,) = shown.once(all_board_numbers)
    assert label in [metric[1] for metric in board_rows(shown, numbers)["metrics"]]
    assert cell_columns(shown)["metrics"]["seconds"][0] == label


def test_the_training_of_victims_is_marked_too():
    shown = report("none")
    (table, *_) = victims(shown).texts
    assert table.caption.endswith(SHARED)
    assert all(row[-2] == "1.0§" for section in table.sections for row in section.rows)

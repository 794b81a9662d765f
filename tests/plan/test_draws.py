"""Draws: other clean samples of the same size, nested and paired as budgets are."""

import numpy as np

from harness.plan.budget import draw_budget
from tests.helpers import tiny_study


def plan(folder, **changes):
    return tiny_study.load(tiny_study.write_study(folder, **changes)).cells


def images(cell):
    labels = np.repeat(np.arange(10), 100)
    return set(draw_budget(labels, cell.budget, cell.budget_seed).tolist())


def test_the_first_draw_is_the_cell_without_draws_and_others_are_cells_of_their_own(tmp_path):
    plain = plan(tmp_path / "a")
    drawn = plan(tmp_path / "b", draws=[0, 1, 2])
    assert [cell.key for cell in drawn if cell.draw == 0] == [cell.key for cell in plain]
    assert len({cell.key for cell in drawn}) == 3 * len(plain)
    assert len({cell.defense_key for cell in drawn}) == 3 * len(plain)
    assert len({cell.victim.key for cell in drawn}) == 1
    assert "draw" not in plain[0].spec
    assert drawn[-1].spec["draw"] == 2
    assert drawn[-1].name.endswith("SPC 2, draw 2")


def test_draws_are_paired_over_defenses_and_nested_over_budgets(tmp_path):
    cells = plan(tmp_path, draws=[0, 1], budgets=[{"spc": 2}, {"spc": 10}])
    by_draw = {}
    for cell in cells:
        by_draw.setdefault((cell.draw, cell.budget.spc), []).append(images(cell))
    assert all(one == other for one, other in by_draw.values())
    assert all(by_draw[draw, 2][0] < by_draw[draw, 10][0] for draw in (0, 1))
    assert by_draw[0, 10][0] != by_draw[1, 10][0]

"""Durations are estimated from finished tasks that are alike."""

import importlib.resources
import json

import pytest

from harness.execution.costs import TASK_SECONDS
from harness.execution.durations import ANY, DurationEstimator, Forecast, Kinds, TaskKinds
from harness.plan.registry import load, names
from tests.helpers import tiny_study
from tests.helpers.timed_study import SECONDS, VICTIM_SECONDS, latest_of, records_of_seed


def test_a_cost_is_corrected_by_the_same_cell_else_the_same_defense_else_any():
    durations = DurationEstimator()
    assert durations.estimate(Kinds(("x", "ft", ANY), 3)) == 3
    durations.add(Kinds(("y", "ft", ANY), 5), 10)
    durations.add(Kinds(("z", "fp", ANY), 5), 40)
    kinds = [Kinds((name, defense, ANY), 2) for name, defense in (("y", "ft"), ("x", "fp"))]
    assert [durations.estimate(each) for each in kinds] == [4, 16]
    assert durations.estimate(Kinds(("x", "ims", ANY), 2)) == 10


def test_costs_grow_with_the_budget_the_network_and_the_schedule(tmp_path):
    def cost(defense, spc, width):
        path = tiny_study.write_study(
            tmp_path,
            models=[{"preactresnet18": {"width": width}}],
            defenses=[defense],
            budgets=[{"spc": spc}],
        )
        return TaskKinds().of(tiny_study.load(path).cells[0]).cost

    assert cost("ims", 10, 8) > 4 * cost("ims", 2, 8)
    assert cost("ims", 10, 64) > 1.5 * cost("ims", 10, 8)
    assert cost({"anp": {"iterations": 1000}}, 2, 8) > 4 * cost({"anp": {"iterations": 200}}, 2, 8)
    assert cost("none", 2, 8) < 1 < cost("ft", 10, 64)


def test_a_forecast_learns_from_a_store_and_from_what_finishes(study):
    forecast = Forecast()
    cells = [cell for cell in study.cells if cell.seed == 1]
    forecast.add([cells[0].victim, *cells])
    forecast.fit(latest_of(*records_of_seed(study, 0)), [cells[0].victim.data])
    assert forecast.expected_seconds(cells[0].victim) == pytest.approx(VICTIM_SECONDS)
    assert [forecast.expected_seconds(cell) for cell in cells] == pytest.approx(
        [SECONDS[cell.defense.name] for cell in cells]
    )
    everything = VICTIM_SECONDS + 2 * sum(SECONDS.values())
    assert forecast.remaining_seconds() == pytest.approx(everything)
    forecast.finish(cells[0].victim, 2 * VICTIM_SECONDS)
    forecast.finish(cells[0])
    assert forecast.expected_seconds(cells[0].victim) == pytest.approx(1.5 * VICTIM_SECONDS)
    assert forecast.remaining_seconds() == pytest.approx(
        2 * sum(SECONDS.values()) - SECONDS[cells[0].defense.name]
    )


@pytest.mark.parametrize("kind", ["defense", "probe"])
def test_every_method_has_costs_at_its_default_schedule(kind):
    file = importlib.resources.files("harness.execution") / "costs.json"
    known = json.loads(file.read_text(encoding="utf-8"))[f"{kind}s"]
    assert set(known) == set(names(kind))
    for name, parts in known.items():
        default = load(kind, name).hyper()
        scales = [scale for part in parts for scale in part["scales"].items()]
        assert all(getattr(default, x, y) == y for x, y in scales), name


def test_the_parts_of_a_schedule_add_up_and_no_more_is_scored_than_there_is(tmp_path):
    def cost(probe, **hyper):
        path = tiny_study.write_study(tmp_path, probes=[{probe: hyper}])
        return TaskKinds().of(tiny_study.load(path).probe_runs[0]).cost

    whole, one_draw = cost("retune"), cost("retune", draws=1)
    assert one_draw == pytest.approx(TASK_SECONDS + (whole - TASK_SECONDS) / 3)
    assert cost("retune", draws=1, scored=445) == one_draw
    assert TASK_SECONDS < cost("retune", draws=1, scored=100) < one_draw

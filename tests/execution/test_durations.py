"""Durations are estimated from finished tasks that are alike."""

import pytest

from harness.execution.durations import DurationEstimator, Forecast
from tests.helpers.timed_study import SECONDS, VICTIM_SECONDS, latest_of, records_of_seed


def test_estimates_fall_back_from_the_same_cell_to_the_same_defense_to_any():
    durations = DurationEstimator()
    assert durations.estimate(("x", "ft", "cell")) is None
    assert durations.sort_cost(("x", "ft", "cell")) == 1
    durations.add(("y", "ft", "cell"), 10)
    durations.add(("z", "fp", "cell"), 20)
    kinds = [(kind, name, "cell") for kind, name in (("y", "ft"), ("x", "ft"), ("x", "ims"))]
    assert [durations.estimate(kind) for kind in kinds] == [10, 10, 15]


def test_a_forecast_learns_from_a_store_and_from_what_finishes(study):
    forecast = Forecast()
    cells = [cell for cell in study.cells if cell.seed == 1]
    forecast.add([cells[0].victim, *cells])
    assert forecast.remaining_seconds() is None
    forecast.fit(latest_of(*records_of_seed(study, 0)))
    assert forecast.expected_seconds(cells[0].victim) == VICTIM_SECONDS
    assert [forecast.expected_seconds(cell) for cell in cells] == [
        SECONDS[cell.defense.name] for cell in cells
    ]
    assert forecast.remaining_seconds() == VICTIM_SECONDS + 2 * sum(SECONDS.values())
    forecast.finish(cells[0].victim, 2 * VICTIM_SECONDS)
    forecast.finish(cells[0])
    assert forecast.expected_seconds(cells[0].victim) == pytest.approx(1.5 * VICTIM_SECONDS)
    assert forecast.remaining_seconds() == pytest.approx(
        2 * sum(SECONDS.values()) - SECONDS[cells[0].defense.name]
    )

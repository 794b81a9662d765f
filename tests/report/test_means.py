from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from harness.report.stats.means import REASONS, deduplicate, exclusion_reason, summarize
from tests.helpers.synthetic_frames import fail, frame


def with_acc(values, **options):
    """One defense at one budget; ``values[attack]`` is its ACC in seed 0, 1, ..."""
    cells = frame(("ft",), (2,), range(len(next(iter(values.values())))), tuple(values), **options)
    cells["acc"] = [
        values[attack][seed] for attack, seed in zip(cells["attack"], cells["seed"], strict=True)
    ]
    return cells


def one(cells, metric="acc"):
    (row,) = summarize(deduplicate(cells), ["defense", "budget"], [metric]).to_dict("records")
    return row


def test_complete_seeds_give_student_t_over_the_seed_means():
    values = {
        "badnets": [0.90, 0.92, 0.97],
        "blended": [0.80, 0.86, 0.81],
        "wanet": [0.7, 0.7, 0.75],
    }
    row = one(with_acc(values))
    means = np.mean(list(values.values()), axis=0)
    low, high = stats.t.interval(0.95, 2, loc=means.mean(), scale=stats.sem(means))
    assert row["mean"] == pytest.approx(means.mean())
    assert (row["low"], row["high"]) == pytest.approx((low, high))
    assert (row["n_seeds"], row["n_conditions"], row["n_cells"]) == (3, 3, 9)


def test_two_seeds_by_hand():
    row = one(with_acc({"badnets": [0.90, 0.94], "blended": [0.80, 0.80]}))
    # seed means .85 and .87; s = .02/sqrt 2; half = 12.7062 * s / sqrt 2 = 12.7062 * .01
    assert row["mean"] == pytest.approx(0.86)
    assert row["high"] - row["mean"] == pytest.approx(0.127062, abs=1e-6)


def test_a_seed_that_lacks_a_hard_attack_does_not_move_the_mean():
    cells = with_acc({"easy": [0.9, 0.9, 0.9], "hard": [0.1, 0.1, 0.1]})
    cells = fail(cells, cells["attack"].eq("hard") & cells["seed"].eq(2), "error")
    row = one(cells)
    assert row["mean"] == pytest.approx(0.5)  # the mean of per-seed means would be 0.633
    assert row["low"] == pytest.approx(row["high"])
    assert (row["n_cells"], row["n_planned"], row["error"]) == (5, 6, 1)


def test_incomplete_seeds_by_hand():
    cells = with_acc({"a": [0.7, 0.8, 0.9], "b": [0.2, 0.4, np.nan]})
    cells = fail(cells, cells["acc"].isna(), "timeout")
    row = one(cells.assign(seconds=cells["acc"]), "seconds")  # whose interval has no upper end
    # a: mean .8, deviations -.1 0 .1, factor sqrt(3/2)/(2*3)
    # b: mean .3, deviations -.1 .1, factor sqrt(2)/(2*2)
    a, b = np.sqrt(1.5) / 6, np.sqrt(2) / 4
    scores = [-0.1 * a - 0.1 * b, 0.1 * b, 0.1 * a]
    half = 12.706204736 * np.sqrt(
        np.sum(np.square(scores))
    )  # t(0.975), 1 degree of freedom: b has 2 seeds
    assert row["mean"] == pytest.approx(0.55)
    assert row["high"] - row["mean"] == pytest.approx(half)


def test_one_seed_has_a_mean_and_no_interval():
    row = one(with_acc({"badnets": [0.9], "blended": [0.8]}))
    assert row["mean"] == pytest.approx(0.85)
    assert np.isnan(row["low"])
    assert np.isnan(row["high"])
    assert row["n_seeds"] == 1


def test_the_interval_of_a_share_ends_where_the_share_does():
    row = one(with_acc({"badnets": [0.1, 0.9, 0.9]}))
    assert row["mean"] == pytest.approx(0.633, abs=1e-3)
    assert (row["low"], row["high"], row["n_repeats"]) == (0.0, 1.0, 3)


def test_the_range_is_that_of_the_means_of_the_repeats():
    row = one(with_acc({"badnets": [0.90, 0.94], "blended": [0.80, 0.70]}))
    assert (row["lowest"], row["highest"]) == pytest.approx((0.82, 0.85))
    assert row["n_repeats"] == 2


def test_draws_of_one_seed_are_its_repeats_and_count_once_beside_other_seeds():
    draws = pd.concat(
        with_acc({"a": [acc]}).assign(draw=draw, key=lambda x, d=draw: x["key"] + str(d))
        for draw, acc in enumerate([0.6, 0.7, 0.8])
    )
    row = one(draws)
    low, high = stats.t.interval(0.95, 2, loc=0.7, scale=stats.sem([0.6, 0.7, 0.8]))
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((0.7, low, high))
    other = with_acc({"a": [0.7, 0.2]})
    both = one(pd.concat([draws, other[other["seed"].eq(1)]]))
    assert both["mean"] == pytest.approx((0.7 + 0.2) / 2)
    assert (both["n_seeds"], both["n_cells"]) == (2, 4)


def test_a_condition_met_once_leaves_the_spread_unknown():
    cells = with_acc({"a": [0.7, 0.8], "b": [0.2, 0.4]})
    row = one(fail(cells, cells["attack"].eq("b") & cells["seed"].eq(1), "oom"))
    assert row["mean"] == pytest.approx(0.475)
    assert np.isnan(row["low"])


def test_every_reason_is_counted_and_the_counts_add_up():
    cells = frame(("ft",), (2,), range(9), ("badnets", "blended"))
    failures = ["error", "timeout", "crash", "oom", "unstable", "missing"]
    for seed, status in enumerate(["skip", *failures]):
        cells = fail(cells, cells["seed"].eq(seed) & cells["attack"].eq("badnets"), status)
    cells.loc[cells["seed"].eq(0), "gate"] = False  # the gate comes before the status
    cells.loc[cells["seed"].eq(8), "acc"] = np.nan
    row = one(cells)
    expected = {
        "gate": 2,
        "skip": 0,
        "undefined": 2,
        **dict.fromkeys(failures, 1),
    }
    assert {reason: row[reason] for reason in REASONS} == expected
    assert row["n_cells"] + sum(expected.values()) == row["n_planned"] == 18
    assert one(cells, "asr")["undefined"] == 0


@pytest.mark.parametrize("gate", [None, np.nan, pd.NA, True, 1.0])
def test_an_unknown_gate_leaves_nothing_out(gate):
    cells = frame(("ft",), (2,))
    cells["gate"] = pd.Series([gate] * len(cells), dtype=object)
    assert exclusion_reason(cells).eq("").all()


def test_all_failed_is_counted_without_a_mean():
    cells = frame(("ft",), (2,))
    row = one(fail(cells, cells["key"].notna(), "crash"))
    assert np.isnan(row["mean"])
    assert (row["n_cells"], row["n_seeds"], row["crash"]) == (0, 0, 4)


def test_an_unknown_status_is_refused():
    cells = frame(("ft",), (2,))
    with pytest.raises(ValueError, match=r"unknown status \['broken'\]; known: ok, gate, skip"):
        exclusion_reason(cells.assign(status="broken"))


def test_a_cell_of_two_studies_counts_once_and_finished_wins():
    cells = frame(("ft",), (2,))
    again = fail(cells, cells["key"].notna(), "missing").assign(study="another")
    assert deduplicate(pd.concat([again, cells]))["status"].tolist() == ["ok"] * len(cells)
    assert one(pd.concat([again, cells])) == one(cells)


def test_the_order_of_the_rows_changes_no_bit():
    cells = frame(seeds=(0, 1, 2), attacks=("badnets", "blended", "wanet"))
    metrics = ["acc", "asr", "der", "seconds"]
    expected = summarize(deduplicate(cells), ["budget", "defense"], metrics)
    for seed in range(5):
        shuffled = cells.sample(frac=1, random_state=seed)
        pd.testing.assert_frame_equal(
            summarize(deduplicate(shuffled), ["budget", "defense"], metrics),
            expected,
            check_exact=True,
        )


def test_targets_of_two_types_are_two_conditions():
    cells = frame(("ft",), (2,), attacks=("badnets",))
    both = pd.concat([cells, cells.assign(target="all-to-all", key=cells["key"] + "x")])
    assert one(both)["n_conditions"] == 2

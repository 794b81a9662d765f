from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from harness.report.figures.critical import cliques
from harness.report.figures.tradeoff import pareto_front
from harness.report.frame.display_names import DisplayNames
from harness.report.stats.means import deduplicate
from harness.report.stats.paired_tests import (
    compare,
    comparisons,
    competitors,
    holm,
    ranks,
    values,
)
from harness.report.tables.comparisons import comparison_tables
from harness.report.tables.ranks import best_ranked, rank_numbers
from harness.report.typeset.table import BestText, SecondText, mark_best
from tests.helpers.synthetic_frames import fail, frame, report_of


def with_asr(values_of, spcs=(2,)):
    """One attack; ``values_of[defense]`` is its ASR in seed 0, 1, ... at every budget."""
    cells = frame(tuple(values_of), spcs, range(len(next(iter(values_of.values())))), ("badnets",))
    cells["asr"] = [values_of[d][s] for d, s in zip(cells["defense"], cells["seed"], strict=True)]
    return cells


def one(cells):
    (row,) = comparisons(competitors(deduplicate(cells)), "asr").to_dict("records")
    return row


def compared(*gaps):
    """One row of ``compare`` per array of differences; shorter ones lack the other victims."""
    return compare(pd.concat(map(pd.Series, gaps), axis=1).to_numpy(dtype=float).T)


def test_effect_and_counts_by_hand():
    found = compared([0.4, -0.1, 0.2, 0.0, -0.3])
    # without the zero the ranks are 4, 1, 2, 3: positive 4 + 2, negative 1 + 3
    assert (found.n, found.wins, found.ties, found.losses) == (5, 2, 1, 2)
    assert found.effect == pytest.approx([(6 - 4) / 10])
    assert found.difference == pytest.approx(0.04)


def test_all_ties_and_no_victims():
    found = compared(np.zeros(3), np.array([]))
    assert [x.tolist() for x in found[:4]] == [[3, 0], [0, 0], [3, 0], [0, 0]]
    assert [x[0] for x in (found.difference, found.effect, found.p)] == [0, 0, 1]
    assert all(np.isnan(x[1]) for x in (found.difference, found.effect, found.p))
    assert all(len(x) == 0 for x in compare(np.empty((0, 4))))


@pytest.mark.parametrize("size", [5, 12, 50, 60])
def test_signed_rank_is_scipys_also_in_a_batch(size):
    rng = np.random.default_rng(size)
    family = [rng.normal(0.3, 1, size - more) for more in range(4)]
    tied = np.append(np.round(rng.normal(0.5, 1, size), 1), [0.7, 0.7])
    expected = [stats.wilcoxon(gaps).pvalue for gaps in family]
    expected.append(stats.wilcoxon(tied[tied != 0], method="asymptotic").pvalue)
    assert compared(*family, tied).p == pytest.approx(expected)


def test_six_wins_of_six_by_hand():
    assert compared(np.arange(1.0, 7)).p == pytest.approx(2 / 2**6)


def test_holm_by_hand():
    # sorted .01 .02 .03 .5: times 4 3 2 1 = .04 .06 .06 .5, never falling
    assert holm([0.03, np.nan, 0.01, 0.5, 0.02]) == pytest.approx(
        [0.06, np.nan, 0.04, 0.5, 0.06], nan_ok=True
    )
    assert holm([0.9, 0.8]) == pytest.approx([1, 1])
    assert len(holm([])) == 0


def test_a_lower_asr_wins():
    row = one(with_asr({"anp": [0.1, 0.2, 0.3], "ft": [0.5, 0.2, 0.9]}))
    assert (row["first"], row["second"], row["wins"], row["ties"], row["losses"]) == (
        "anp",
        "ft",
        2,
        1,
        0,
    )
    assert row["difference"] == pytest.approx((0.4 + 0 + 0.6) / 3)


def test_a_victim_counts_once_however_many_budgets():
    cells = with_asr({"anp": [0.1, 0.2], "ft": [0.5, 0.1]}, spcs=(2, 10, 50))
    assert one(cells)["n"] == 2
    half = fail(cells, cells["budget"].eq("SPC 2") & cells["defense"].eq("ft"), "error")
    assert one(half)["difference"] == pytest.approx((0.4 - 0.1) / 2)


def test_what_failed_the_gate_or_has_no_partner_is_not_paired():
    cells = with_asr({"anp": [0.1, 0.2, 0.3], "ft": [0.5, 0.6, 0.7]})
    cells.loc[cells["seed"].eq(0), "gate"] = False
    cells = fail(cells, cells["seed"].eq(1) & cells["defense"].eq("ft"), "crash")
    assert one(cells)["n"] == 1


def test_oracles_and_the_undefended_model_do_not_compete():
    cells = frame(("none", "ft", "ims", "grad_prune"))
    assert set(comparisons(competitors(deduplicate(cells)), "asr")["first"]) | set(
        ranks(competitors(deduplicate(cells)), "asr")["defense"]
    ) == {"ft", "ims"}


def test_ranks_by_hand():
    cells = with_asr({"a": [0.1, 0.3], "b": [0.2, 0.3], "c": [0.3, 0.1]})
    found = ranks(competitors(deduplicate(cells)), "asr").set_index("defense")
    assert found["rank"].to_dict() == {"a": (1 + 2.5) / 2, "b": (2 + 2.5) / 2, "c": (3 + 1) / 2}
    assert set(found["n_victims"]) == {2}


def test_ranks_are_scipys_on_complete_blocks_only():
    cells = frame(("a", "b", "c", "d"), (2, 10), range(3))
    hurt = cells["defense"].eq("c") & cells["budget"].eq("SPC 2") & cells["seed"].eq(0)
    found = ranks(competitors(deduplicate(fail(cells, hurt, "oom"))), "acc")
    blocks = values(competitors(deduplicate(fail(cells, hurt, "oom"))), "acc").dropna()
    expected = pd.DataFrame(
        stats.rankdata(-blocks, axis=1), index=blocks.index, columns=blocks.columns
    )
    mean = expected.groupby("victim").mean().mean()
    assert found.set_index("defense")["rank"].to_dict() == pytest.approx(mean.to_dict())
    assert set(found["n_blocks"]) == {12 - 2}


def test_cliques_join_what_no_test_tells_apart():
    pairs = pd.DataFrame(
        {"first": ["a", "a", "b"], "second": ["c", "d", "d"], "p_holm": [0.01, 0.001, 0.04]}
    )
    assert cliques(["a", "b", "c", "d"], pairs) == [(0, 1), (1, 2), (2, 3)]
    assert cliques(["a", "b", "c"], pairs.iloc[:0]) == [(0, 2)]


def test_duels_are_seen_from_the_chosen_method_whichever_came_first():
    cells = with_asr({"anp": [0.1, 0.2, 0.3], "ft": [0.5, 0.2, 0.9]})
    table = comparisons(competitors(deduplicate(cells)), "asr").assign(scope="SPC 2", metric="asr")
    for chosen, expected in (("anp", ("2", "1", "0", "33.3")), ("ft", ("0", "1", "2", "−33.3"))):
        (text,) = comparison_tables(table, chosen, DisplayNames(), ["anp", "ft"])
        assert text.sections[0].rows[0][2:6] == expected


def test_the_best_ranked_is_the_one_with_the_best_der_over_all_budgets():
    numbers = rank_numbers(report_of(frame(("none", "ft", "ims"))))
    rows = numbers[numbers["scope"].eq("all budgets") & numbers["metric"].eq("der")]
    assert best_ranked(numbers) == rows.sort_values("rank")["defense"].iloc[0] == "ims"


def test_marks_go_by_what_is_read():
    texts = mark_best(["1.0", "2.0", "2.0", "3.0", "9.0"], [1.0, 2.01, 1.99, 3.0, float("nan")], 1)
    assert [type(text) for text in texts] == [str, SecondText, SecondText, BestText, str]
    assert [type(text) for text in mark_best(["5.0"], [5.0], 1)] == [str]


def test_the_pareto_front_by_hand():
    points = pd.DataFrame({"asr_mean": [10, 20, 30, 30, 5], "acc_mean": [80, 75, 90, 91, 70]})
    kept = pareto_front(points)[["asr_mean", "acc_mean"]].to_numpy().tolist()
    assert kept == [[5, 70], [10, 80], [30, 91]]

"""The clean budget: sizes, nesting, and the same images on every machine."""

from itertools import pairwise

import numpy as np
import pytest

from harness.errors import UserError
from harness.plan.budget import BudgetSpec, draw_budget

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(4), [40, 20, 100, 33]))


def counts(chosen):
    return np.bincount(LABELS[chosen], minlength=4).tolist()


def test_labels_and_counts():
    assert BudgetSpec(spc=10).label() == "SPC 10"
    assert BudgetSpec(ratio=0.05).label() == "5 %"
    assert BudgetSpec(ratio=0.07).label() == "7 %"
    assert BudgetSpec(ratio=0.005).label() == "0.5 %"
    assert BudgetSpec(spc=3).counts((40, 20)) == (3, 3)
    assert BudgetSpec(ratio=0.1).counts((40, 20, 3)) == (4, 2, 1)


@pytest.mark.parametrize(
    "spec", [{}, {"spc": 1, "ratio": 0.1}, {"spc": 0}, {"ratio": 0.0}, {"ratio": 1.1}]
)
def test_a_spec_out_of_range_is_refused(spec):
    with pytest.raises(ValueError, match=r"spc|ratio"):
        BudgetSpec(**spec)


def test_a_budget_larger_than_a_class_is_a_fault():
    assert BudgetSpec(spc=20).fault((40, 20)) is None
    assert BudgetSpec(ratio=1.0).fault((40, 20)) is None
    assert BudgetSpec(spc=300).fault((400, 210)) == "spc 300: class 1 has only 210 training images"
    with pytest.raises(UserError, match="spc 21: class 1 has only 20 training images"):
        draw_budget(LABELS, BudgetSpec(spc=21), seed=0)


@pytest.mark.parametrize("spec", [BudgetSpec(spc=2), BudgetSpec(ratio=0.3), BudgetSpec(ratio=1.0)])
def test_draw_gives_each_class_its_share_once(spec):
    chosen = draw_budget(LABELS, spec, seed=1)
    assert chosen.dtype == np.int64
    assert len(set(chosen.tolist())) == len(chosen)
    assert counts(chosen) == list(spec.counts((40, 20, 100, 33)))
    assert np.all(np.diff(LABELS[chosen]) >= 0)


def test_smaller_budgets_are_subsets():
    sets = [set(draw_budget(LABELS, BudgetSpec(spc=k), seed=5).tolist()) for k in (1, 2, 10, 20)]
    sets.append(set(draw_budget(LABELS, BudgetSpec(ratio=1.0), seed=5).tolist()))
    assert all(small < large for small, large in pairwise(sets))


def test_seeds_differ_and_repeat():
    first, again, other = (
        draw_budget(LABELS, BudgetSpec(spc=10), seed=s).tolist() for s in (3, 3, 4)
    )
    assert first == again
    assert first != other


def test_no_image_is_favoured():
    hits = np.zeros(len(LABELS))
    for seed in range(400):
        hits[draw_budget(LABELS, BudgetSpec(spc=5), seed)] += 1
    for label, size in enumerate((40, 20, 100, 33)):
        expected = 400 * 5 / size
        assert np.abs(hits[label == LABELS] - expected).max() < 5 * np.sqrt(expected)


def test_the_same_images_everywhere():
    labels = np.repeat(np.arange(3), 10)
    assert draw_budget(labels, BudgetSpec(spc=3), seed=0).tolist() == [
        3,
        2,
        1,
        11,
        13,
        15,
        20,
        21,
        25,
    ]

"""Unclean budgets: what is wrong with them, how much of it, and that clean ones keep their keys."""

import pytest
import torch

from harness.contract import Goal
from harness.data.shifts import shifted
from harness.errors import UserError
from harness.execution.unclean_budget import spoiled
from harness.plan.budget import BudgetSpec, Shift
from tests.helpers import tiny_study
from tests.helpers.planted_models import CLASSES, pictures, stamp

GOAL = Goal(0, 0.1, CLASSES)


def spoil(seed=0, **wrong):
    images, labels = pictures(10, seed=1)
    changed = spoiled((images, labels), BudgetSpec(spc=10, **wrong), GOAL, stamp, seed)
    return images, labels, *changed


@pytest.mark.parametrize("kind", Shift.__args__)
def test_a_shift_changes_every_image_within_its_range_and_no_label(kind):
    images, labels, shown, same = spoil(shift=kind)
    assert torch.equal(labels, same)
    assert all(not torch.equal(a, b) for a, b in zip(images, shown, strict=True))
    assert shown.shape == images.shape
    assert (shown.min(), shown.max()) >= (0, 0)
    assert torch.equal((255 * shown).round(), 255 * shown) or torch.allclose(
        (255 * shown).round(), 255 * shown, atol=1e-4
    )
    assert torch.equal(shown, spoil(shift=kind)[2])
    assert not torch.equal(shown, spoil(seed=1, shift=kind)[2])


def test_shifts_work_on_grey_images():
    grey = torch.rand(2, 1, 8, 8)
    for kind in Shift.__args__:
        assert shifted(grey, kind, torch.Generator().manual_seed(0)).shape == grey.shape


@pytest.mark.parametrize(("amount", "count"), [(1, 1), (0.1, 4)])
def test_triggered_samples_carry_the_trigger_and_the_attackers_label(amount, count):
    images, labels, shown, changed = spoil(triggered=amount)
    touched = (images != shown).flatten(1).any(1)
    assert int(touched.sum()) == count
    assert torch.allclose(shown[touched], stamp(images[touched]), atol=1 / 255)
    assert (labels[touched] != 0).all()
    assert (changed[touched] == 0).all()
    assert torch.equal(changed[~touched], labels[~touched])


@pytest.mark.parametrize(("amount", "count"), [(3, 3), (0.25, 10)])
def test_wrong_labels_are_wrong_and_as_many_as_asked_for(amount, count):
    images, labels, shown, changed = spoil(wrong_labels=amount)
    assert torch.equal(images, shown)
    assert int((labels != changed).sum()) == count
    assert changed.max() < CLASSES


def test_labels_and_keys():
    assert BudgetSpec(spc=10, shift="blur").label() == "SPC 10, blur"
    assert BudgetSpec(spc=2, triggered=1).label() == "SPC 2, 1 triggered"
    assert BudgetSpec(ratio=0.05, wrong_labels=0.1).label() == "5 %, 10 % wrong labels"
    assert BudgetSpec(spc=2).spec() == {"spc": 2, "ratio": None}
    assert BudgetSpec(spc=2, shift="blur").spec() == {"spc": 2, "ratio": None, "shift": "blur"}


def test_unclean_budgets_in_a_study(tmp_path):
    budgets = [{"spc": 2}, {"spc": 2, "triggered": 1}, {"spc": 2, "shift": "noise"}]
    path = tiny_study.write_study(tmp_path, budgets=budgets, gate={"run": "all"}, keep_models=True)
    latest = tiny_study.run(path, tmp_path / "out")
    ft = [r for r in latest.values() if r.kind == "cell" and "/ ft /" in r.name]
    assert [r.status for r in ft] == ["ok"] * 3
    assert len({r.result.artifacts.model for r in ft}) == 3
    assert len({r.key for r in ft}) == 3


OWN = '''"""Returns its budget."""

from harness.contract import Defended, defense


@defense(paper="none", year=2026, family="control")
def own(model, budget, hyper, ctx):
    return Defended(model, {"images": budget.images})
'''


def test_a_defense_of_ones_own_is_given_the_unclean_budget_too(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    budgets = [{"spc": 2}, {"spc": 2, "shift": "noise"}]
    path = tiny_study.write_study(tmp_path, budgets=budgets, defenses=["none", "./own.py"])
    latest = tiny_study.run(path, tmp_path / "out")
    own = [r for r in latest.values() if r.kind == "cell" and "/ own /" in r.name]
    assert [r.status for r in own] == ["ok"] * 2
    assert own[0].result.artifacts.method != own[1].result.artifacts.method


def test_a_wrong_budget_is_one_line(tmp_path):
    budgets = [{"spc": 2, "shift": "blurr"}, {"spc": 2, "triggered": 1.5}]
    with pytest.raises(UserError) as error:
        tiny_study.load(tiny_study.write_study(tmp_path, budgets=budgets))
    assert "did you mean 'blur'?" in str(error.value)
    assert "triggered: a share below 1 or a whole number" in str(error.value)

"""A defense's declaration in the plan, and its companions in the record of a cell."""

import json
from pathlib import Path

import pytest
import torch

from harness.contract import Context, Goal, Recipe
from harness.data.device_dataset import DeviceDataset
from harness.data.info import DataInfo
from harness.evaluation.evaluate import evaluate, evaluation_set
from harness.execution.cell import run_cell
from harness.plan.budget import BudgetSpec
from harness.plan.catalogue import as_text, entries
from harness.plan.entries import resolve_method
from harness.plan.registry import describe, names
from harness.plan.spec import Cell, Victim
from harness.store.store import Store
from harness.study.load import load_study
from harness.toolbox.masks.channel_gates import with_folded_gates
from harness.toolbox.predict import to_uint8
from harness.training.victim import LoadedVictim
from tests.helpers.planted_models import CLASSES, SIDE, pictures, planted, scores, stamp

OWN = '''
"""A model that is all attention."""
from torch import nn
from harness.contract import model

@model(paper="", year=2025, version=1, layers=("encoder-blocks",))
def attentive(channels, classes, hyper):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
'''

STUDY = """
data: [digits]
models: [preactresnet18, attentive.py]
attacks: [badnets]
defenses: [bnp, ims, ims_vit, fp, ft]
budgets: [{spc: 1}, {spc: 2}]
seeds: [0]
"""


def test_a_defense_without_its_layers_is_a_planned_skip_with_the_reason(tmp_path):
    (tmp_path / "attentive.py").write_text(OWN)
    (tmp_path / "study.yaml").write_text(STUDY)
    plan = load_study(tmp_path / "study.yaml", None, tmp_path / "cache")
    skips = {(c.victim.model.name, c.defense.name, c.budget.spc): c.skip for c in plan.cells}
    assert skips["attentive", "bnp", 2] == "works on batchnorm; attentive has none"
    assert skips["attentive", "ims", 2] == "works on convolutions; attentive has none"
    assert (
        skips["preactresnet18", "ims_vit", 2] == "works on encoder-blocks; preactresnet18 has none"
    )
    assert skips["preactresnet18", "fp", 1] == "needs at least 2 images per class; SPC 1 gives 1"
    ran = {key for key, skip in skips.items() if skip is None}
    assert ("attentive", "ims_vit", 1) in ran
    assert ("preactresnet18", "bnp", 1) in ran
    assert {(model, spc) for model, name, spc in ran if name == "ft"} == {
        (model, spc) for model in ("preactresnet18", "attentive") for spc in (1, 2)
    }


def test_the_list_shows_what_a_defense_is_and_asks_for():
    text = as_text(entries("defenses"))
    assert "pruning; needs triggers, at least SPC 2; does not run on vit_b_16, " in text
    assert "fine-tuning; needs clean; runs on every architecture\n" in text
    assert "does not run on convnext_tiny, vgg19, vit_b_16, vit_small_cifar\n" in text
    assert "runs on vit_b_16, vit_small_cifar\n" in text
    assert "eps=0.02353, " in text
    for row in entries("defenses")["defenses"]:
        assert row["family"] in {"pruning", "fine-tuning", "unlearning", "control"}
        assert (row["paper"] and row["year"] > 2015) or row["family"] == "control"
        assert set(row["architectures"]) <= set(names("model"))
        assert json.dumps(row)


def test_oracles_are_declared():
    asking = {
        name for name in names("defense") if describe("defense", name).info.needs == "triggers"
    }
    assert asking == {"grad_prune", "oracle"}


@pytest.fixture(scope="module")
def attacked():
    train, test = pictures(20, seed=5), pictures(20, seed=6)
    info = DataInfo(
        name="pictures",
        digest="0" * 16,
        folder=Path(),
        classes=CLASSES,
        class_names=tuple("rgbx"),
        shape=(3, SIDE, SIDE),
        train_counts=(20,) * CLASSES,
        test_count=20 * CLASSES,
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        crop=0,
        flip=False,
    )
    data = DeviceDataset(info, to_uint8(train[0]), train[1], to_uint8(test[0]), test[1])
    model = planted()
    found = evaluation_set(data, Goal(0, 0.1, CLASSES), stamp)
    return data, LoadedVictim(model, stamp, found, evaluate(model, found))


def record_of(attacked, tmp_path, entry):
    data, victim = attacked
    choices = [
        resolve_method(kind, wanted, tmp_path)
        for kind, wanted in (("model", "preactresnet18"), ("attack", "badnets"), ("defense", entry))
    ]
    needs = choices[2].info.needs
    planned = Victim(data.info, choices[0], Recipe(), "paper", choices[1], 0.1, 0, 0)
    cell = Cell(planned, choices[2], needs, BudgetSpec(spc=4))
    store = Store(tmp_path)
    before = {name: x.clone() for name, x in victim.model.state_dict().items()}
    ctx = Context(torch.device("cpu"), torch.Generator())
    result = run_cell(cell, victim, data, ctx, store)
    assert all(torch.equal(before[name], x) for name, x in victim.model.state_dict().items())
    return result, store


def test_the_inverse_network_of_ims_is_scored_saved_and_tells_triggered_images(attacked, tmp_path):
    short = {
        "sparsity": 0.5,
        "inner_lr": 0.02,
        "inner_steps": 10,
        "initial_rounds": 40,
        "rounds": 40,
    }
    result, store = record_of(attacked, tmp_path, {"ims": {**short, "stages": True}})
    assert set(result.companions) == {"inverse", "stage-A", "stage-B"}
    inverse = result.companions["inverse"]
    assert inverse.asr >= 0.99
    assert inverse.acc <= 0.5
    assert inverse.auroc_victim >= 0.9, (
        "it agrees with the victim on triggered images, not on clean ones"
    )
    assert 0 <= inverse.auroc <= 1
    kept = store.get(result.artifacts.method)
    rebuilt = with_folded_gates(planted(), {"conv": torch.from_numpy(kept["inverse.conv"])})
    assert scores(rebuilt)[1] >= 0.99
    assert kept["stage-A.conv"].shape == kept["stage-B.conv"].shape == kept["mask.conv"].shape
    assert kept["selected_share"].shape == (1,)


def test_an_oracle_is_handed_triggers_and_repairs(attacked, tmp_path):
    result, _ = record_of(attacked, tmp_path, "oracle")
    assert result.asr_before >= 0.99
    assert result.asr <= 0.1
    assert result.ra >= 0.9
    assert result.companions == {}

"""Probes on small networks with a backdoor that is wired by hand: kept, asleep, moved, removed."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from harness.contract import Quantity
from harness.plan.declarations import check_declaration
from harness.plan.registry import describe, find, load, names
from harness.probes import bec, features, path, pruning, qra, reactivate, retune, tac
from harness.toolbox import (
    activation_changes,
    folded_gates,
    retuning_samples,
    share_predicted,
)
from tests.helpers import planted_attackers
from tests.helpers.planted_models import (
    HIDDEN,
    TRIGGER_UNITS,
    clean_budget,
    cpu_context,
    planted,
    planted_transformer,
    stamp,
)

TUNING = {"share": 0.5, "poisoned": 0.05, "draws": 1}
SEARCH = {"images": 60, "passes": 2, "scored": 60}
QUERIES = {"share": 0.5, "poisoned": 0.05, "images": 100, "hidden": 64, "passes": 20}
SMALL = {"retune": TUNING, "reactivate": SEARCH, "qra": {**QUERIES, "passes": 2}}


def measured(name, model, *, control=None, **hyper):
    """Return what a probe measures on a model, compared with a control if there is one."""
    method = load("probe", name)
    attacker = planted_attackers.attacker(clean=planted_attackers.without_backdoor())
    numbers = method.function(copy.deepcopy(model), attacker, method.hyper(**hyper), cpu_context())
    compare = method.info.against_clean
    return numbers if control is None else numbers | compare(numbers, control)


@pytest.mark.parametrize("name", names("probe"))
def test_a_probe_declares_what_it_measures(name):
    method = describe("probe", name)
    check_declaration(method, find("probe", name))
    assert all(isinstance(number, Quantity) for number in method.info.numbers.values())
    small = SMALL.get(name, {})
    clean = measured(name, planted_attackers.without_backdoor(), **small)
    compared = {} if method.info.against_clean is None else method.info.against_clean(clean, clean)
    assert set(clean) | set(compared) == set(method.info.numbers)
    assert not set(clean) & set(compared)


@pytest.mark.parametrize("name", names("probe"))
def test_a_probe_repeats_and_leaves_the_victim_and_the_data_alone(name):
    method = load("probe", name)
    hyper = method.hyper(**SMALL.get(name, {}))
    attacker = planted_attackers.attacker(clean=planted_attackers.without_backdoor())
    before = copy.deepcopy((attacker.victim.state_dict(), attacker.test, attacker.train.images))
    first, again = (method.function(planted(), attacker, hyper, cpu_context()) for _ in range(2))
    assert first == again
    after = (attacker.victim.state_dict(), attacker.test, attacker.train.images)
    assert all(torch.equal(x, after[0][key]) for key, x in before[0].items())
    assert all(map(torch.equal, before[1], after[1]))
    assert torch.equal(before[2], after[2])


def test_without_poisoned_images_retuning_is_plain_fine_tuning():
    hyper = retune.Hyper(share=0.5, poisoned=0, draws=1)
    attacker, ctx = planted_attackers.attacker(), cpu_context()
    images, labels = retuning_samples(attacker, hyper, ctx)
    assert len(labels) == 500
    model = planted().train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for _ in range(5):
        for chosen in torch.randperm(500, generator=ctx.generator).chunk(4):
            optimiser.zero_grad()
            F.cross_entropy(model(images[chosen]), labels[chosen]).backward()
            optimiser.step()
    test = attacker.test
    numbers = measured("retune", planted(), share=0.5, poisoned=0, draws=1)
    assert numbers["p_asr"] == share_predicted(model, test.triggered, test.wanted)
    assert numbers["acc"] == share_predicted(model, test.clean, test.labels)


def test_poisoned_images_have_the_trigger_and_the_label_that_the_attacker_wants():
    attacker = planted_attackers.attacker()
    images, labels = retuning_samples(attacker, retune.Hyper(), cpu_context())
    assert len(labels) == 20  # 2 % of 1,000
    assert labels[-5:].tolist() == [0] * 5
    assert torch.allclose(images[-5:], stamp(images[-5:]))
    assert not torch.allclose(images[:-5], stamp(images[:-5]))


def test_retuning_wakes_what_the_identity_kept_and_not_what_was_removed():
    clean = measured("retune", planted_attackers.without_backdoor(), **TUNING)
    identity = measured("retune", planted(), control=clean, **TUNING)
    removed = measured("retune", planted_attackers.without_backdoor(), control=clean, **TUNING)
    assert identity["excess"] > 0.9
    assert removed["excess"] == 0


def test_gates_are_found_in_folded_weights_and_stay_when_they_are_frozen():
    gated = planted()
    with torch.no_grad():
        gated.conv.weight[:3] *= 0.25
        gated.conv.weight[-TRIGGER_UNITS:] = 0
    gates = folded_gates(gated, planted())
    assert gates["conv.weight"].flatten()[:4].tolist() == pytest.approx([0.25] * 3 + [1.0])
    assert gates["conv.weight"].flatten()[-TRIGGER_UNITS:].tolist() == [0.0] * TRIGGER_UNITS
    folded, frozen = (
        measured("retune", gated, gates=kind, lr=0.3, **TUNING) for kind in ("folded", "frozen")
    )
    assert frozen["p_asr"] < folded["p_asr"] - 0.3


def test_drift_finds_a_trigger_that_leads_to_another_class():
    moved = planted()
    with torch.no_grad():
        moved.linear.weight[[0, 1], -TRIGGER_UNITS:] = moved.linear.weight[[1, 0], -TRIGGER_UNITS:]
    clean = measured("drift", planted_attackers.without_backdoor())
    assert measured("drift", planted(), control=clean) == {
        "drift": 0.0,
        "pacc": 0.25,
        "pacc_loss": pytest.approx(clean["pacc"] - 0.25),
    }
    found = measured("drift", moved, control=clean)
    assert found["drift"] > 0.6  # all but the images of class 1 itself
    assert found["pacc_loss"] == pytest.approx(clean["pacc"] - 0.25)


def test_bec_is_one_for_the_victim_and_zero_for_the_clean_model():
    assert measured("bec", planted())["bec"] == pytest.approx(1)
    assert measured("bec", planted_attackers.without_backdoor())["bec"] == 0


def test_cka_ignores_rotation_and_scale_alone():
    x = torch.randn(30, 5, generator=torch.Generator().manual_seed(0))
    rotation = torch.linalg.qr(torch.randn(5, 5)).Q
    assert bec.linear_cka(x, 3 * x @ rotation + 7) == pytest.approx(1, abs=1e-5)
    assert bec.linear_cka(x, torch.randn(30, 5)) < 0.6


def test_tac_is_largest_in_the_channels_that_see_the_trigger():
    attacker = planted_attackers.attacker()
    test = attacker.test
    (changes,) = activation_changes(planted(), test.untriggered, test.triggered, relative=True)
    assert set(changes.topk(TRIGGER_UNITS).indices.tolist()) == {30, 31}
    with torch.no_grad():
        expected = (
            (planted().conv(test.untriggered / 255) - planted().conv(test.triggered / 255))
            .flatten(2)
            .norm(dim=2)
            .mean(0)
        )
    (absolute,) = activation_changes(planted(), test.untriggered, test.triggered, relative=False)
    assert torch.allclose(absolute, expected, rtol=1e-4)
    assert measured("tac", planted())["ratio"] == pytest.approx(1)
    assert tac.carrying_share(torch.tensor([8.0, 1.0, 0.5, 0.5])) == 0.5


def test_the_path_is_shorter_from_a_backdoor_that_sleeps():
    asleep = measured("path", planted_attackers.switched_off())
    removed = measured("path", planted_attackers.without_backdoor())
    assert measured("path", planted())["first"] == 0
    assert 0 < asleep["first"] < removed["first"]
    wrong = torch.nn.Sequential(planted())
    with pytest.raises(ValueError, match="other weights than the victim's architecture"):
        measured("path", wrong)


def test_statistics_are_the_mean_over_batches():
    norm = torch.nn.BatchNorm1d(3)
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    path.estimate_statistics_(norm, x, 10)
    assert torch.allclose(norm.running_mean, x.mean(0), atol=1e-6)
    assert torch.allclose(norm.running_var, (x[:10].var(0) + x[10:].var(0)) / 2, atol=1e-6)
    assert norm.momentum == 0.1
    assert not norm.training


@pytest.mark.parametrize("search", ["white-box", "transfer", "black-box"])
def test_reactivation_stays_within_its_bound_and_lowers_its_loss(search):
    weak = planted()  # the trigger alone is not enough
    with torch.no_grad():
        weak.linear.weight[0, -TRIGGER_UNITS:] = 1.2
    attacker = planted_attackers.attacker(victim=planted())
    hyper = reactivate.Hyper(
        search=search, bound=0.2, lr=5, queries=60, surrogate_epochs=1, **SEARCH
    )
    numbers = reactivate.reactivate(weak, attacker, hyper, cpu_context())
    before = share_predicted(weak, attacker.test.triggered, attacker.test.wanted)
    assert numbers["asr"] >= before or search != "white-box"
    samples = (attacker.test.triggered[:40] / 255, attacker.test.wanted[:40])
    delta = (
        reactivate.square_search(weak, samples, hyper, cpu_context())
        if search == "black-box"
        else reactivate.gradient_search([weak], samples, hyper, cpu_context())
    )
    assert delta.abs().max() <= 0.2 + 1e-6
    with torch.no_grad():
        losses = [
            float(F.cross_entropy(weak(reactivate.perturbed(samples[0], d)), samples[1]))
            for d in (torch.zeros(1), delta)
        ]
    assert losses[1] < losses[0]


def test_qra_wakes_what_the_identity_kept_and_not_what_was_removed():
    """The clean model is the floor: its own excess and gain are zero, and so are those of EP."""
    clean = measured("qra", planted_attackers.without_backdoor(), **QUERIES)
    removed = measured("qra", planted_attackers.without_backdoor(), **QUERIES)
    identity = measured("qra", planted(), **QUERIES)
    assert identity["excess"] > 0.9
    assert (removed["excess"], removed["gain"]) == (clean["excess"], clean["gain"]) == (0, 0)
    assert identity["clean"] == clean["clean"] == 0


def test_qra_perturbs_within_its_bound_and_answers_as_the_woken_model():
    weak = planted()  # the trigger alone is not enough
    with torch.no_grad():
        weak.linear.weight[0, -TRIGGER_UNITS:] = 1.2
    attacker = planted_attackers.attacker(clean=planted_attackers.without_backdoor())
    hyper = qra.Hyper(bound=0.2, awake=0.5, search_lr=0.3, **QUERIES)
    clean = attacker.train.clean_model
    change = qra.learn_perturbation(weak, planted(), clean, attacker, hyper, cpu_context())
    images, wanted = attacker.test.triggered / 255, attacker.test.wanted
    shown = qra.perturbed(change, images)
    assert (shown - images).abs().max() <= 0.2 + 1e-6
    assert shown.min() >= 0
    assert shown.max() <= 1
    before, after = (share_predicted(weak, x, wanted) for x in (images, shown))
    assert after > before + 0.2
    assert share_predicted(clean, shown, wanted) < 0.1


def test_the_gain_is_over_the_larger_control():
    own = {"asr": 0.9, "alone": 0.2}
    assert reactivate.gain_over_controls(own, {"asr": 0.5}) == {"gain": pytest.approx(0.4)}
    assert reactivate.gain_over_controls(own, {"asr": 0.1}) == {"gain": pytest.approx(0.7)}


def pruned(kept, victim=None, **hyper):
    ctx = cpu_context()
    attacker = planted_attackers.attacker(victim=victim, kept=kept)
    numbers = pruning.pruning(planted(), attacker, pruning.Hyper(**hyper), ctx)
    return numbers, ctx.scalars


def test_a_pruning_curve_loses_the_backdoor_first_where_the_order_finds_it():
    numbers, log = pruned(planted_attackers.order())
    assert numbers["asr"] < 0.01
    assert numbers["acc"] > 0.98
    assert numbers["share"] == TRIGGER_UNITS / HIDDEN
    assert [entry["step"] for entry in log] == list(range(21))
    assert log[0]["share"] == 0
    assert log[-1]["share"] == 1 - 1 / HIDDEN  # the highest is never cut
    assert log[0]["asr"] > 0.98 > log[-1]["acc"]
    late, _ = pruned({"order.norm": torch.arange(HIDDEN).float()})
    assert late["asr"] > 0.98


def backdoor(model):
    test = planted_attackers.attacker().test
    return share_predicted(model, test.triggered, test.wanted)


def test_a_cut_channel_gives_zero_in_every_kind_of_layer():
    asked = {"order.linear": planted_attackers.order()["order.norm"]}
    for kept in (planted_attackers.order(), asked):
        victim = planted()
        before = backdoor(victim)
        numbers, _ = pruned(kept, victim)
        after = backdoor(victim)
        assert numbers["asr"] < 0.01
        assert before == after
    transformer = planted_transformer()
    width = transformer.linear.in_features
    order = {"order.blocks.1": torch.arange(width).roll(-2).float()}
    numbers, _ = pruned(order, transformer)
    assert numbers["asr"] < 0.05
    assert numbers["share"] == 2 / width


def test_soft_masks_are_an_order_and_hard_ones_are_not():
    gates = {"mask.norm": torch.arange(HIDDEN).roll(-TRIGGER_UNITS) / HIDDEN}
    assert pruned(gates)[0] == pruned(planted_attackers.order())[0]
    assert pruned({"mask.norm": torch.ones(HIDDEN).index_fill(0, torch.tensor([0]), 0)})[0] == {}
    assert pruned({"anomaly": torch.rand(4)}) == ({}, [])
    assert pruned({}) == ({}, [])


def test_defenses_that_prune_in_an_order_keep_it():
    sizes = {"fp": {"epochs": 1}, "grad_prune": {"tuning_epochs": 1}, "rnp": {"unlearn_epochs": 2}}
    sizes |= {"anp": {"iterations": 30}, "clp": {}}
    for name, hyper in sizes.items():
        method = load("defense", name)
        budget = clean_budget(8, triggers=name == "grad_prune")
        kept = method.function(planted(), budget, method.hyper(**hyper), cpu_context()).artifacts
        order = pruning.kept_order(kept)
        assert order, name
        widths = {"conv": HIDDEN, "norm": HIDDEN, "linear": HIDDEN}  # of linear layers, the inputs
        assert all(len(x) == widths[layer] for layer, x in order.items()), name
        numbers, _ = pruned(kept)
        assert numbers["share"] > 0 or name == "fp", name


def test_features_are_moved_by_a_trigger_that_is_seen():
    attacker, ctx = planted_attackers.attacker(), cpu_context()
    hyper = features.Hyper(images=20)
    seen = features.features(planted(), attacker, hyper, ctx)
    unseen = features.features(planted_attackers.without_backdoor(), attacker, hyper, cpu_context())
    assert seen["shift"] > 3 * unseen["shift"]
    assert 0 < unseen["shown"] <= 1
    assert [entry["triggered"] for entry in ctx.scalars] == [0] * 20 + [1] * 19
    other = cpu_context()
    neighbours = features.Hyper(images=20, projection="tsne")
    assert features.features(planted(), attacker, neighbours, other) == seen, "another picture only"
    named = [[entry[x] for x in ("label", "triggered")] for entry in ctx.scalars]
    assert [[entry[x] for x in ("label", "triggered")] for entry in other.scalars] == named
    places = np.array([[entry["x"], entry["y"]] for entry in other.scalars])
    assert np.isfinite(places).all()
    assert len(np.unique(places, axis=0)) > 30
    test = attacker.test
    x = torch.cat([test.clean, test.triggered]).float().div(255)
    pooled = features.pooled(planted(), x)
    points, _ = features.principal(pooled)
    centred = pooled - pooled.mean(0)
    for axis in range(2):  # uncorrelated, and in falling order of variance
        assert points[:, axis].mean().abs() < 1e-4
    assert points[:, 0].var() > points[:, 1].var()
    assert (points[:, 0] * points[:, 1]).mean().abs() < 1e-4
    assert points.square().sum() <= centred.square().sum() * 1.0001

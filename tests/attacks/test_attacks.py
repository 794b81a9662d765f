"""Every attack: exact poison rates, right labels, a trigger that repeats, a pure function."""

import pytest
import torch

from harness.contract import Batch, Goal, Poison, TrainingControl
from harness.evaluation.evaluate import evaluation_set
from harness.plan.registry import load, names
from harness.store.store import Store
from harness.training.poisoning import goal_of
from harness.training.victim import load_trigger, load_victim, train_victim
from tests.helpers import records
from tests.helpers.tiny_victims import (
    CLASSES,
    CPU,
    clean_network,
    context,
    run_attack,
    traits,
    victim,
)

ATTACKS = [name for name in names("attack") if name != "none"]
TARGET = 1


def trained(spec, data, store):
    return train_victim(spec, data, context(), store, clean_network(spec))


@pytest.mark.parametrize("name", ATTACKS)
def test_shares_are_exact_and_labels_right(name, data, store):
    spec = victim(data, name)
    before = [x.clone() for x in data[1:5]]
    given = run_attack(spec, data, store)
    if isinstance(given, Poison):
        backdoors = len(given.indices) - given.covers
        assert backdoors == 24
        assert len(given.indices.unique()) == len(given.indices)
        true = data.train_labels[given.indices]
        assert (given.labels[:backdoors] == TARGET).all()
        assert (given.labels[backdoors:] == true[backdoors:]).all()
        if traits(name).clean_label:
            assert (true == TARGET).all()
        assert given.images.dtype == torch.uint8
        assert (given.images != data.train_images[given.indices]).flatten(1).any(1).all()
    else:
        check_batches(given, data)
    assert all(torch.equal(a, b) for a, b in zip(before, data[1:5], strict=True))


def check_batches(given, data):
    assert isinstance(given, TrainingControl)
    backdoors = 0
    for start in range(0, 240, 40):
        rows = slice(start, start + 40)
        made = given.batch(data.train_images[rows], data.train_labels[rows])
        assert isinstance(made, Batch)
        changed = made.backdoors + made.covers
        backdoors += made.backdoors
        assert made.covers > 0
        assert (made.labels[: made.backdoors] == TARGET).all()
        assert torch.equal(made.labels[made.backdoors :], data.train_labels[rows][made.backdoors :])
        assert torch.equal(made.images[changed:], data.train_images[rows][changed:].float() / 255)
        assert made.images.min() >= 0
        assert made.images.max() <= 1
        if given.step:
            made.penalty.backward()
            given.step()
    assert backdoors == 24


@pytest.mark.parametrize("name", ATTACKS)
def test_a_trained_victim_repeats_its_trigger(name, data, store):
    spec = victim(data, name)
    result = trained(spec, data, store)
    assert result.poisoned == 24
    assert result.psnr is not None
    assert 0 < result.ssim < 1
    assert 0 < result.linf <= 255
    record = records.ok(spec, result)
    again = load_trigger(spec, record, data, store)
    loaded = load_victim(
        spec, record, data, CPU, store
    )  # which holds predictions against the record
    assert torch.equal(loaded.test.triggered, again.triggered)
    assert torch.equal(loaded.test.triggered, load_trigger(spec, record, data, store).triggered)
    assert (data.test_labels[loaded.test.carries_trigger] != TARGET).all()
    assert (loaded.test.truth.wanted == TARGET).all()
    assert (loaded.test.truth.triggered != TARGET).all()
    assert len(loaded.test.triggered) == 60


@pytest.mark.parametrize("name", ATTACKS)
def test_triggers_are_pure_and_stay_in_range(name, data, store):
    given = run_attack(victim(data, name), data, store)
    stamp = load("attack", name).info.trigger
    extremes = torch.cat(
        [torch.zeros(2, 3, 16, 16), torch.ones(2, 3, 16, 16), torch.rand(4, 3, 16, 16)]
    )
    kept, drawn = extremes.clone(), torch.random.get_rng_state()
    state = {key: x.clone() for key, x in given.state.items()}
    with torch.no_grad():
        one, two = stamp(extremes, given.state), stamp(extremes, given.state)
    assert torch.equal(one, two)
    assert torch.equal(extremes, kept)
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert all(torch.equal(state[key], x) for key, x in given.state.items())
    assert one.shape == extremes.shape
    assert one.min() >= 0
    assert one.max() <= 1


@pytest.mark.parametrize("name", [name for name in ATTACKS if traits(name).all_to_all])
def test_all_to_all_shifts_every_label(name, data, store):
    spec = victim(data, name, target="all-to-all")
    given = run_attack(spec, data, store)
    if isinstance(given, Poison):
        assert torch.equal(given.labels, (data.train_labels[given.indices] + 1) % CLASSES)
    else:
        made = given.batch(data.train_images[:40], data.train_labels[:40])
        shifted = (data.train_labels[: made.backdoors] + 1) % CLASSES
        assert torch.equal(made.labels[: made.backdoors], shifted)
    test = evaluation_set(data, goal_of(spec), lambda x: x)
    assert test.carries_trigger.all()
    assert ((test.truth.triggered + 1) % CLASSES == test.truth.wanted).all()


@pytest.mark.parametrize("name", [name for name in ATTACKS if traits(name).clean_label])
def test_clean_label_rates_are_of_the_set_or_of_the_class(name, data, store):
    assert len(run_attack(victim(data, name, rate=0.2), data, store).indices) == 48
    of_class = run_attack(victim(data, name, rate=0.2, rate_of="class"), data, store)
    assert len(of_class.indices) == 12
    assert len(run_attack(victim(data, name, rate=7), data, store).indices) == 7


def test_a_count_is_as_good_as_a_share():
    assert Goal(0, 50, 10).count(5000) == Goal(0, 0.01, 10).count(5000) == 50
    assert Goal(0, 0.0001, 10).count(5000) == 1
    assert Goal(0, 50, 10).poison_rate(5000) == 0.01


def test_byproducts_are_made_once_and_shared_between_rates(data, tmp_path):
    own = Store(tmp_path)
    one = run_attack(victim(data, "ssba", rate=0.1), data, own)
    two = run_attack(victim(data, "ssba", rate=0.3), data, own)
    three = run_attack(victim(data, "ssba", rate=0.1, model="resnet18"), data, own)
    assert [record.kind for record in own.records()] == ["byproduct"]
    assert all(torch.equal(x, two.state[key]) for key, x in one.state.items())
    assert all(torch.equal(x, three.state[key]) for key, x in one.state.items())
    other = run_attack(victim(data, "ssba", bits=8), data, own)
    assert len(other.state["secret"]) == 8
    assert len(list(own.records())) == 2

"""Every attack: exact shares, right labels, a trigger that repeats, and nothing of the caller's touched."""

import pytest
import torch

from harness.contract import Batch, Goal, Poison, TrainingControl
from harness.evaluation.evaluate import evaluation_set
from harness.evaluation.stealth import ssim, trigger_visibility
from harness.plan.registry import load, names
from harness.store.store import Store
from harness.toolbox.image_files import read_array
from harness.toolbox.poisoning.poisoned_batches import Quota
from harness.training.network import build
from harness.training.poisoning import attack_data, goal_of
from harness.training.victim import load_trigger, load_victim, train_victim
from tests.helpers.tiny_victims import CLASSES, CPU, context, resident, traits, victim

ATTACKS = [name for name in names("attack") if name != "none"]
TARGET = 1


@pytest.fixture(scope="module")
def data():
    return resident()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


def clean_network(spec):
    if spec.clean is None:
        return None
    torch.manual_seed(0)
    return build(spec.model, spec.data).eval()


def run(spec, data, store):
    return attack_data(spec, data, clean_network(spec), context(), store)


def trained(spec, data, store):
    return train_victim(spec, data, context(), store, clean_network(spec))


@pytest.mark.parametrize("name", ATTACKS)
def test_shares_are_exact_and_labels_right(name, data, store):
    spec = victim(data, name)
    before = [x.clone() for x in data[1:5]]
    given = run(spec, data, store)
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
    assert result["poisoned"] == 24
    assert result["psnr"] is not None
    assert 0 < result["ssim"] < 1
    assert 0 < result["linf"] <= 255
    record = {"result": result}
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
    given = run(victim(data, name), data, store)
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
    given = run(spec, data, store)
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
    assert len(run(victim(data, name, rate=0.2), data, store).indices) == 48
    of_class = run(victim(data, name, rate=0.2, rate_of="class"), data, store)
    assert len(of_class.indices) == 12
    assert len(run(victim(data, name, rate=7), data, store).indices) == 7


def test_a_count_is_as_good_as_a_share():
    assert Goal(0, 50, 10).count(5000) == Goal(0, 0.01, 10).count(5000) == 50
    assert Goal(0, 0.0001, 10).count(5000) == 1
    assert Goal(0, 50, 10).poison_rate(5000) == 0.01


@pytest.mark.parametrize("share", [0.001, 0.1, 1 / 3, 0.9])
def test_a_quota_is_exact_at_every_step(share):
    quota, given = Quota(share), 0
    for step in range(1, 200):
        taken = quota.take(16, 16)
        given += taken
        assert 0 <= taken <= 16
        assert abs(given - share * 16 * step) <= 0.5 + 1e-9


def test_byproducts_are_made_once_and_shared_between_rates(data, tmp_path):
    own = Store(tmp_path)
    one = run(victim(data, "ssba", rate=0.1), data, own)
    two = run(victim(data, "ssba", rate=0.3), data, own)
    three = run(victim(data, "ssba", rate=0.1, model="resnet18"), data, own)
    assert [record["kind"] for record in own.records()] == ["byproduct"]
    assert all(torch.equal(x, two.state[key]) for key, x in one.state.items())
    assert all(torch.equal(x, three.state[key]) for key, x in one.state.items())
    other = run(victim(data, "ssba", bits=8), data, own)
    assert len(other.state["secret"]) == 8
    assert len(list(own.records())) == 2


def test_adaptive_blend_covers_keep_their_label_and_half_the_pieces(data, store):
    given = run(victim(data, "adaptive_blend", rate=0.05, cover_ratio=2), data, store)
    assert (len(given.indices), given.covers) == (36, 24)
    clean = data.train_images[given.indices].float()
    changed = (given.images.float() - clean).abs().amax(1)
    pieces = torch.nn.functional.max_pool2d(changed, 4).gt(0).flatten(1).sum(1)
    assert pieces.max() <= 8
    assert pieces.float().mean() > 6  # a piece whose every pixel rounds away is rare


def test_lf_is_smooth(data, store):
    pattern = run(victim(data, "lf"), data, store).state["pattern"]
    spectrum = torch.fft.rfft2(pattern - pattern.mean((1, 2), keepdim=True)).abs()
    assert spectrum[:, :6, :6].square().sum() > 0.8 * spectrum[:, :9].square().sum()
    assert pattern.min() == 0
    assert pattern.max() == pytest.approx(0.2)


def test_lc_noise_stays_within_epsilon(data, store):
    given = run(victim(data, "lc", epsilon=0.05, step_size=0.03), data, store)
    inside = ~(given.state["weight"] > 0).expand(3, -1, -1)
    change = (given.images.int() - data.train_images[given.indices].int()).abs()[:, inside]
    assert 0 < change.max() <= round(0.05 * 255) + 1


def test_own_files_are_taken_as_they_are(data, store, tmp_path):
    import numpy as np

    pattern = np.full((16, 16, 3), 20, np.uint8)
    np.save(tmp_path / "pattern.npy", pattern)
    given = run(victim(data, "lf", pattern=str(tmp_path / "pattern.npy")), data, store)
    assert torch.allclose(given.state["pattern"], torch.full((3, 16, 16), 20 / 255))
    with pytest.raises(ValueError, match="an array of shape"):
        read_array(tmp_path / "pattern.npy", (3, 8, 8))


# Stealth


def test_stealth_of_known_changes():
    images = torch.randint(0, 200, (3, 3, 16, 16), generator=torch.Generator().manual_seed(0)).to(
        torch.uint8
    )
    same = trigger_visibility(images, images)
    assert (same.psnr, same.linf) == (None, 0)
    assert same.ssim == pytest.approx(1)
    brighter = trigger_visibility(images, images + 10)
    assert brighter.psnr == pytest.approx(28.1308, abs=1e-3)  # 20 log10(255 / 10)
    assert brighter.linf == 10
    assert brighter.ssim < 1


def test_ssim_is_wangs_formula_where_one_window_fits():
    g = torch.Generator().manual_seed(0)
    a, b = (255 * torch.rand(1, 1, 11, 11, generator=g, dtype=torch.float64) for _ in range(2))
    distance = torch.arange(11, dtype=torch.float64) - 5
    line = torch.exp(-(distance**2) / 4.5)
    w = torch.outer(line, line) / line.sum() ** 2
    mean_a, mean_b = (a * w).sum(), (b * w).sum()
    var_a, var_b = (w * (a - mean_a) ** 2).sum(), (w * (b - mean_b) ** 2).sum()
    cov = (w * (a - mean_a) * (b - mean_b)).sum()
    c1, c2 = 6.5025, 58.5225
    expected = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
    expected /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    assert float(ssim(a, b)) == pytest.approx(float(expected), rel=1e-9)

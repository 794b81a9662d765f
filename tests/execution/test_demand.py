"""What a run needs of a GPU's memory and of the disk."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.execution.costs import activation_bytes, cell_bytes, cell_seconds, weight_bytes
from harness.execution.demand import demand_of
from harness.plan.entries import resolve_method
from harness.plan.registry import describe, names
from harness.store.record import BudgetSize, CellSpec, MethodIdentity
from harness.store.record_files import LatestRecords
from tests.helpers import records, timed_study
from tests.helpers.timed_study import latest_of, records_of_seed

MIB = 2**20


def kept_activations(network, images):
    """Return the bytes that autograd keeps of a forward pass, weights apart."""
    kept = {}
    weights = {weight.data_ptr() for weight in network.parameters()}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if tensor.data_ptr() not in weights:
            kept[storage.data_ptr()] = (tensor, storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(images)
    return sum(size for _, size in kept.values())


@pytest.mark.parametrize(
    ("name", "hyper"),
    [
        ("preactresnet18", {"width": 16}),
        ("preactresnet18", {"width": 48}),
        ("resnet18", {}),
        ("mobilenet_v3_large", {}),
        ("wrn_16_1", {}),
        ("vit_small_cifar", {}),
        ("vit_b_16", {"size": 64}),
    ],
)
def test_weights_and_activations_of_networks_are_known(tmp_path, name, hyper):
    method = resolve_method("model", {name: hyper} if hyper else name, Path())
    function, values, _ = method.load()
    network, known = function(3, 10, values), MethodIdentity(**method.identity)
    data = replace(timed_study.load(tmp_path).cells[0].victim.data, shape=(3, 32, 32))
    weights = 4 * sum(weight.numel() for weight in network.parameters())
    activations = kept_activations(network, torch.zeros(2, 3, 32, 32)) / 2
    assert weight_bytes(known) == pytest.approx(weights, rel=0.1)
    assert activation_bytes(known, data) == pytest.approx(activations, rel=0.2)


def test_what_was_measured_on_a_gpu_counts_for_its_method_and_network_alone(tmp_path):
    study = timed_study.load(tmp_path)
    fresh = demand_of(study.cells, LatestRecords())
    assert not fresh.measured
    assert fresh.gpu < 100 * MIB
    measured = demand_of(study.cells, latest_of(*records_of_seed(study, 0)))
    assert (measured.gpu, measured.measured) == (1000 * MIB, True)
    on_cpu = latest_of(*records_of_seed(study, 0, records.ENVIRONMENT))
    assert demand_of(study.cells, on_cpu) == fresh
    assert "1000.0 MiB of its memory a worker" in str(measured)


@pytest.mark.parametrize("name", names("defense"))
def test_every_defense_and_preset_has_a_cost_before_it_has_run(tmp_path, name):
    victim = timed_study.load(tmp_path).cells[0].victim
    model, budget = MethodIdentity(**victim.model.identity), BudgetSize(spc=2, ratio=None)
    for preset in ("comparison", *describe("defense", name).presets):
        method = resolve_method("defense", {name: {"preset": preset}}, Path())
        defense = MethodIdentity(**method.identity)
        spec = CellSpec(victim="", defense=defense, budget=budget, evaluation=1, seed=0)
        assert 0 < cell_seconds(spec, model, victim.data) < 86_400
        assert 0 < cell_bytes(spec, model, victim.data) < 80 * 2**30

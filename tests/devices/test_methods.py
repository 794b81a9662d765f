"""Every method on a pretended GPU: what CUDA would refuse is refused there."""

import pytest

from harness.plan.registry import describe, names
from tests.helpers.pretended_gpu import PretendedGpu, is_on_gpu


@pytest.mark.parametrize("name", names("attack"))
def test_a_victim_of_every_attack_is_trained_saved_loaded_and_verified(name, victims):
    with PretendedGpu():
        loaded = victims.train(name, "preactresnet18").victim
    assert all(map(is_on_gpu, loaded.model.state_dict().values()))
    assert is_on_gpu(loaded.test.triggered)
    assert len(loaded.before.triggered) == 24


@pytest.mark.parametrize("name", names("model"))
def test_a_victim_of_every_architecture_is_trained_saved_loaded_and_verified(name, victims):
    with PretendedGpu():
        loaded = victims.train("badnets", name, n=32).victim
    assert all(map(is_on_gpu, loaded.model.state_dict().values()))


@pytest.mark.parametrize("name", names("defense"))
def test_every_defense_repairs_and_is_evaluated(name, victims):
    blocks = describe("defense", name).info.requires == "encoder-blocks"
    with PretendedGpu():
        result = victims.repair(name, "vit_small_cifar" if blocks else "preactresnet18")
    assert 0 <= result.asr <= 1
    assert result.n_clean == 8
    assert victims.store.get(result.artifacts.model)

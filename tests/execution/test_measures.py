"""What is measured around a method: its own seconds and memory, and with how many neighbours."""

import gc
import weakref

import pytest
import torch

from harness.execution.forkserver import context
from harness.plan.registry import describe, load, names
from harness.training.device import peak_memory_mb, reset_peak_memory
from harness.training.warm_up import warm_up
from tests.helpers import tiny_study
from tests.helpers.living_layers import layers, nothing_else_living
from tests.helpers.planted_models import clean_budget, cpu_context, small_resnet
from tests.helpers.shortest import shortest

CPU = torch.device("cpu")


def test_peak_memory_on_a_cpu_does_not_depend_on_earlier_tasks():
    def peak(megabytes):
        reset_peak_memory(CPU)
        torch.ones(megabytes * 2**18)
        return peak_memory_mb(CPU)

    if peak(1) is None:
        pytest.skip("this system does not let a process forget its peak")
    before, large, after = peak(1), peak(300), peak(1)
    assert large - before > 250
    assert after - before < 50


def test_a_step_to_warm_up_trains_a_copy_alone():
    net, calls = small_resnet(), []
    before = {name: x.clone() for name, x in net.state_dict().items()}

    def note(layer, images, out):
        out.register_hook(lambda _: calls.append(layer.training))

    net.conv1.register_forward_hook(note)
    warm_up(net.requires_grad_(False), clean_budget(1).images[:1])
    assert calls == [True]
    assert all(torch.equal(x, before[name]) for name, x in net.state_dict().items())
    assert not net.training
    assert all(x.grad is None for x in net.parameters())


@pytest.mark.parametrize("workers", [None, 2])
def test_a_record_says_how_many_workers_shared_the_device(tmp_path, workers):
    latest = tiny_study.run(tiny_study.write_study(tmp_path), tmp_path / "out", workers=workers)
    assert {record.environment.workers for record in latest.values()} == {workers or 1}
    peaks = [record.result.peak_mem_mb for record in latest.values()]
    assert all(peak is None or peak > 50 for peak in peaks)


def tell_frozen(pipe):
    pipe.send(gc.get_freeze_count())


def test_no_worker_searches_for_garbage_in_what_all_of_them_share():
    here, there = context().Pipe()
    process = context().Process(target=tell_frozen, args=(there,))
    process.start()
    assert here.recv() > 100_000
    process.join()


def convolutional():
    return [x for x in names("defense") if describe("defense", x).info.requires != "encoder-blocks"]


@pytest.mark.parametrize("name", convolutional())
def test_the_networks_of_a_defense_are_gone_as_soon_as_its_result_is(name):
    """Those in reference cycles would stay on a GPU until Python looks for garbage."""
    method, budget = load("defense", name), clean_budget(2, triggers=True)
    hyper = method.hyper(**shortest("defense", name))
    with nothing_else_living():
        net = small_resnet()
        victim = weakref.ref(net)
        method.function(net, budget, hyper, cpu_context())
        del net
        assert victim() is None
        assert layers() == []

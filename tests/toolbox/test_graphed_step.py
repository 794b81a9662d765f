"""Steps as graphs: the same bits as one by one, and one by one where a graph would differ."""

import sys
import warnings
from functools import partial

import pytest
import torch
from harness.defenses import anp
from torch import nn

from harness.contract import InvertibleMasks, Recipe
from harness.data.augment import Augment
from harness.toolbox.fit import fit
from harness.toolbox.graphed_step import GraphedStep, optimiser_state
from harness.toolbox.ims import search as ims_search
from harness.toolbox.ims.solver import learn_invertible_masks
from harness.toolbox.masks.channel_gates import convolution_sites
from tests.helpers.fake_graphs import CUDA, FakeGraphs, install
from tests.helpers.planted_models import clean_budget, cpu_context, planted

INPUTS = [torch.full((2,), float(i)) for i in range(5)]


class Accumulator:
    """A step with state: a running sum, and some randomness."""

    def __init__(self):
        self.total = torch.zeros(2)
        self.calls = 0

    def step(self, x):
        self.calls += 1
        self.total += x + torch.rand(2)
        return (2 * self.total,)


def results(graphs=None, monkeypatch=None):
    torch.manual_seed(0)
    of = Accumulator()
    if graphs is None:
        return of, [of.step(x)[0].clone() for x in INPUTS]
    install(monkeypatch, graphs)
    graphs.state = lambda: [of.total]
    step = GraphedStep(of.step, CUDA, graphs.state)
    return of, [step(x)[0] for x in INPUTS]


def test_a_recording_that_gives_the_same_bits_is_run_from_the_third_call_on(monkeypatch):
    plain, expected = results()
    graphs = FakeGraphs()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graphed, found = results(graphs, monkeypatch)
    assert all(torch.equal(x, y) for x, y in zip(found, expected, strict=True))
    assert torch.equal(graphed.total, plain.total)
    assert (graphs.recorded, graphs.replays) == (1, 1 + 3)


@pytest.mark.parametrize(
    ("graphs", "reason"),
    [
        (FakeGraphs(error=1e-6), "its results differ"),
        (FakeGraphs(refusal="not permitted when stream is capturing\nand more"), "not permitted"),
    ],
    ids=["differs", "refused"],
)
def test_otherwise_the_step_runs_as_it_is_after_one_warning(monkeypatch, graphs, reason):
    plain, expected = results()
    with pytest.warns(UserWarning, match=f"no CUDA graph of a step.*: {reason}") as said:
        graphed, found = results(graphs, monkeypatch)
    assert len(said) == 1
    assert "and more" not in str(said[0].message)
    assert all(torch.equal(x, y) for x, y in zip(found, expected, strict=True))
    assert torch.equal(graphed.total, plain.total)


def test_what_a_step_changes_beside_its_state_is_found_out(monkeypatch):
    graphs, of = FakeGraphs(), Accumulator()
    install(monkeypatch, graphs)
    step = GraphedStep(of.step, CUDA)
    with pytest.warns(UserWarning, match="its results differ"):
        for x in INPUTS:
            step(x)


def test_inputs_of_another_shape_are_no_case_for_the_recording(monkeypatch):
    graphs = install(monkeypatch, FakeGraphs())
    step = GraphedStep(lambda x: (x.sum(),), CUDA)
    found = [step(torch.ones(n))[0].item() for n in (3, 3, 2, 3)]
    assert found == [3, 3, 2, 3]
    assert graphs.replays == 2


def test_on_other_devices_a_step_is_called_as_it_is(monkeypatch):
    install(monkeypatch, FakeGraphs(refusal="nothing is to be recorded"))
    step = GraphedStep(lambda x: (x,), torch.device("cpu"))
    assert all(step(x)[0] is x for x in INPUTS)


def network():
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(),
        nn.Flatten(),
        nn.LazyLinear(4),
    )


def trained():
    net, budget = network(), clean_budget(8)
    net(budget.images)
    recipe = Recipe(epochs=3, batch=8, precision="fp32", nesterov=True)
    torch.manual_seed(2)
    fit(net, (budget.images, budget.labels), recipe, Augment(crop=1, flip=True), cpu_context())
    return [*net.parameters(), *net.buffers()]


def anp_masks():
    hyper = anp.Hyper(iterations=4, batch=16)
    return list(anp.train_masks(planted(), clean_budget(8), hyper, cpu_context()).values())


def ims_masks(*, bf16=False):
    net = planted()
    hyper = InvertibleMasks(initial_rounds=1, rounds=3, inner_steps=3, bf16_search=bf16)
    found = learn_invertible_masks(
        net, clean_budget(4), convolution_sites(net), hyper, cpu_context()
    )
    return list(found.artifacts.values())


@pytest.mark.parametrize(
    ("module", "work", "least"),
    [
        (sys.modules[fit.__module__], trained, 3),
        (anp, anp_masks, 3),
        (ims_search, ims_masks, 3),
        (ims_search, partial(ims_masks, bf16=True), 3),
    ],
    ids=["training", "ANP", "search of IMS", "search of IMS in bf16"],
)
def test_graphs_of_our_loops_have_all_their_state_and_change_no_bit(
    monkeypatch, module, work, least
):
    expected = work()
    graphs = install(monkeypatch, FakeGraphs(), module)
    found = work()
    assert graphs.replays >= least
    assert all(torch.equal(x, y) for x, y in zip(found, expected, strict=True))


def test_the_state_of_an_optimiser_is_its_tensors():
    weight = nn.Parameter(torch.ones(3))
    optimiser = torch.optim.Adam([weight])
    assert optimiser_state(optimiser) == []
    weight.grad = torch.ones(3)
    optimiser.step()
    assert [x.shape for x in optimiser_state(optimiser)] == [(), (3,), (3,)]

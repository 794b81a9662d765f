"""Who shares a GPU keeps to a share of its memory, the process of an own defense included."""

from types import SimpleNamespace

import pytest
import torch

from harness.contract import Context
from harness.execution.own import serve
from harness.execution.own.process import OwnProcess
from harness.execution.run_task import run_task
from harness.execution.task import Task
from harness.training.device import memory_left
from tests.helpers import records, tiny_victims
from tests.helpers.planted_models import clean_budget
from tests.helpers.pretended_gpu import CUDA, PretendedGpu
from tests.helpers.pretended_gpu.cuda_functions import MEMORY


@pytest.fixture
def memory(monkeypatch):
    """A GPU whose memory the test counts: the share of this process, and what it has taken."""
    state = SimpleNamespace(share=1.0, reserved=0, unused=0)

    def limit(share, device):
        state.share = share

    def give_back():
        state.reserved, state.unused = state.reserved - state.unused, 0

    with PretendedGpu():
        monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", limit)
        monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda _: state.share)
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: state.reserved)
        monkeypatch.setattr(torch.cuda, "empty_cache", give_back)
        yield state
        monkeypatch.undo()


def test_a_worker_has_its_share_of_the_memory(memory):
    victim = tiny_victims.victim(tiny_victims.resident(n=8))
    session = SimpleNamespace(
        device=CUDA, environment=records.ENVIRONMENT, apart=True, spoiled=False
    )
    record = run_task(Task(victim, workers=4), session)  # a session without data: it fails
    assert record.status == "error"
    assert memory.share == 0.25


def test_a_worker_leaves_what_it_does_not_hold(memory):
    memory.share, memory.reserved, memory.unused = 0.25, MEMORY // 10, MEMORY // 20
    assert memory_left(CUDA) == pytest.approx(0.2)
    memory.reserved = MEMORY // 2
    assert memory_left(CUDA) == 0
    assert memory_left(torch.device("cpu")) == 1


class Sent(Exception):
    """Has the job that was sent."""


def test_the_process_of_an_own_defense_keeps_to_what_its_worker_leaves(memory, monkeypatch):
    memory.share, memory.reserved = 0.25, MEMORY // 20

    def asked(process, job, deadline):
        raise Sent(job)

    monkeypatch.setattr(OwnProcess, "_asked", asked)
    victim = tiny_victims.victim(tiny_victims.resident(n=8))
    cell = SimpleNamespace(defense=victim.attack, victim=victim, defense_key="d", numerics="fp32")
    loaded = SimpleNamespace(model=torch.nn.Linear(2, 2))
    with pytest.raises(Sent) as sent, OwnProcess(serve.answer_worker) as process:
        process.defend(cell, loaded, clean_budget(1), Context(CUDA, torch.Generator()))
    (job,) = sent.value.args
    assert job.memory == pytest.approx(0.2)
    serve._defend(job, [])  # in this process, where it fails: there is no such network
    assert memory.share == job.memory

"""What the process of an own defense runs: the defense, then the networks that it returned."""

from __future__ import annotations

import copy
import io
import multiprocessing
import os
import pickle
import sys
import tempfile
from multiprocessing.connection import Connection
from multiprocessing.process import current_process
from pathlib import Path

import torch
from torch import nn

from harness.contract import Context, Numerics
from harness.execution.defense import as_defended, measured
from harness.execution.failures import failure_of
from harness.execution.forkserver import PASSED_ON
from harness.execution.own.confinement import confine
from harness.execution.own.keeper import run_kept
from harness.execution.own.messages import (
    Answer,
    Failed,
    Job,
    Repaired,
    Request,
    on_device,
    pack,
    to_bytes,
)
from harness.execution.scalars import kept_steps
from harness.store.record import safe_text
from harness.toolbox.numerics import WITHOUT_AUTOCAST, numerics
from harness.training.device import limit_memory, reseed, select_device, set_up_torch
from harness.training.network import build, prepare_for_eval
from harness.training.process_state import ProcessState
from harness.training.warm_up import warm_up


def answer_worker(pipe: Connection, prints: Connection, folder: Path) -> None:
    """Run the defense of the first message, then answer requests until the pipe closes.

    ``prints`` takes what the process prints. ``folder`` has what it may read; it works in ``work``
    there. All of this is done by a child, with which all that it starts ends.
    """

    def let_go() -> None:
        pipe.close()
        prints.close()

    run_kept(lambda: _run(pipe, prints, folder), let_go)


def _run(pipe: Connection, prints: Connection, folder: Path) -> None:
    for stream in (sys.stdout, sys.stderr):
        os.dup2(prints.fileno(), stream.fileno())
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)  # what one prints that dies is whole
    work = folder / "work"
    os.chdir(work)
    for name in [x for x in os.environ if not x.startswith(PASSED_ON)]:
        del os.environ[name]
    os.environ |= {"HOME": str(work), "TMPDIR": str(work)}
    tempfile.tempdir = None  # looked up again
    current_process()._config.pop("tempdir", None)  # type: ignore[attr-defined]
    multiprocessing.set_start_method(None, force=True)  # the system's: this process had another
    job: Job = pickle.loads(pipe.recv_bytes())
    confine(folder, work, Path(job.defense.ref))
    networks: list[nn.Module] = []
    pipe.send_bytes(to_bytes(_defend(job, networks)))
    answers = Answers(networks, torch.device(job.device), WITHOUT_AUTOCAST[job.numerics])
    while True:
        request: Request = pickle.loads(pipe.recv_bytes())
        pipe.send_bytes(to_bytes(_answer(answers, request)))


def _defend(job: Job, networks: list[nn.Module]) -> Repaired | Failed:
    """Run the defense, and add the networks that it returns."""
    set_up_torch(job.threads)
    device = select_device(job.device)
    limit_memory(device, job.memory)
    ctx = Context(device, torch.Generator(), job.deadline, numerics=job.numerics)
    with numerics(job.numerics, device):
        state = ProcessState()
        try:
            built = build(job.model, job.data)
            built.load_state_dict(job.weights)
            model, budget = prepare_for_eval(built, device), on_device(job.budget, device)
            method = job.defense.load()
            warm_up(model, budget.images)
            reseed(ctx.generator, job.seed)
            returned, cost = measured(
                lambda: method.function(model, budget, method.hyper, ctx), device
            )
            state.restore(last=True)
            defended = as_defended(returned)
            artifacts = pack(defended.artifacts)
        except (Exception, SystemExit) as error:  # whatever a method raises
            state.restore(last=True)
            return _failed(error, kept_steps(ctx.scalars), state)
    networks += [defended.model, *defended.companions.values()]
    return Repaired(
        seconds=cost.seconds,
        peak_mem_mb=cost.peak_mem_mb,
        peak_reserved_mb=cost.peak_reserved_mb,
        artifacts=artifacts,
        companions=list(defended.companions),
        notes=defended.notes | state.notes(),
        scalars=kept_steps(ctx.scalars),
    )


def _answer(networks: Answers, request: Request) -> Answer | Failed:
    try:
        answer: Answer = getattr(networks, request.name)(*request.arguments)
    except (Exception, SystemExit) as error:  # whatever a network raises
        return _failed(error)
    return answer


def _failed(
    error: BaseException,
    scalars: list[dict[str, float]] | None = None,
    state: ProcessState | None = None,
) -> Failed:
    """Return the message of an exception."""
    failure = failure_of(error)
    text = failure.error if state is None else state.noted(failure.error)
    return Failed(failure.status, safe_text(text), safe_text(failure.traceback), scalars or [])


class Answers:
    """The networks that a defense returned, and copies of them, by number."""

    def __init__(self, networks: list[nn.Module], device: torch.device, kind: Numerics) -> None:
        self._networks = networks
        self._device = device
        self._numerics = kind

    def logits(self, number: int, images: torch.Tensor) -> Answer:
        """Return the logits of float images (n, C, H, W)."""
        with torch.no_grad(), numerics(self._numerics, self._device):
            return Answer(0, pack({"logits": self._networks[number](images.to(self._device))}))

    def train(self, number: int, mode: bool) -> Answer:
        """Put a network in train or eval mode."""
        self._networks[number].train(mode)
        return Answer()

    def training(self, number: int) -> Answer:
        """Tell whether any part is in train mode."""
        return Answer(int(any(x.training for x in self._networks[number].modules())))

    def state(self, number: int) -> Answer:
        """Return the parameters and the buffers, saved in a state dict or not."""
        net = self._networks[number]
        return Answer(0, pack(dict([*net.named_parameters(), *net.named_buffers()])))

    def weights(self, number: int) -> Answer:
        """Return the state dict."""
        return Answer(0, pack(self._networks[number].state_dict()))

    def copied(self, number: int) -> Answer:
        """Copy a network, and return the number of the copy."""
        self._networks.append(copy.deepcopy(self._networks[number]))
        return Answer(len(self._networks) - 1)

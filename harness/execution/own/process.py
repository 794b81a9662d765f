"""The process of an own defense, as its worker sees it: started, asked and ended."""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from harness.contract import Budget, Context, Defended
from harness.execution.defense import Cost
from harness.execution.failures import ElsewhereError
from harness.execution.file_copies import with_own_file
from harness.execution.forkserver import context, exit_text, unlabelled
from harness.execution.own.messages import (
    MOST_BYTES,
    Answer,
    Failed,
    Job,
    Message,
    Repaired,
    Request,
    message_from,
    on_device,
    unpack,
    without_origin,
)
from harness.execution.own.networks import RemoteNetwork, Reply
from harness.plan.keys import seed
from harness.store.record import Failure, Status, safe_text
from harness.training.device import memory_left

if TYPE_CHECKING:
    from harness.plan.spec import Cell
    from harness.training.victim import LoadedVictim

DEADLINE_GRACE = 2.0
"""Seconds past its deadline before the process is ended: most defenses end by themselves."""

END_LIMIT = 5.0
"""Seconds until all that a defense has started is ended; what hangs in a driver can't end."""

PRINT_GRACE = 1.0
"""Seconds in which what the process has printed is taken over, when it has ended."""


class OwnProcess:
    """A process that runs one defense, and then answers for the networks that it returned."""

    def __init__(self, serve: Callable[[Connection, Connection, Path], None]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="defuse-"))
        (self._folder / "work").mkdir()
        self._pipe, far_end = context().Pipe()
        printed, prints = context().Pipe(duplex=False)
        self._process = context().Process(target=serve, args=(far_end, prints, self._folder))
        with unlabelled():
            self._process.start()
        far_end.close()
        prints.close()
        self._printer = threading.Thread(target=_print, args=(printed,), daemon=True)
        self._printer.start()

    def __enter__(self) -> OwnProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._pipe.close()
        self._printer.join(PRINT_GRACE)
        shutil.rmtree(self._folder, ignore_errors=True)

    def defend(
        self, cell: Cell, victim: LoadedVictim, budget: Budget, ctx: Context
    ) -> tuple[Defended, Cost]:
        """Run the cell's defense; the networks that it returns stay in the process.

        Raises:
            ElsewhereError: the defense failed, took too long, or its process died.
        """
        defense = with_own_file(cell.defense, self._folder)
        job = Job(
            defense=defense,
            model=with_own_file(cell.victim.model, self._folder),
            data=without_origin(cell.victim.data),
            weights={name: x.cpu() for name, x in victim.model.state_dict().items()},
            budget=on_device(budget, torch.device("cpu")),
            seed=seed(cell.defense_key, "defense"),
            numerics=cell.numerics,
            device=str(ctx.device),
            memory=memory_left(ctx.device),
            threads=torch.get_num_threads(),
            deadline=ctx.deadline,
        )
        answer = self._asked(job, ctx.deadline)
        if isinstance(answer, Repaired | Failed):
            ctx.scalars.extend(answer.scalars)
        if isinstance(answer, Failed):
            trace = answer.traceback.replace(defense.ref, cell.defense.ref)
            raise ElsewhereError(Failure(answer.status, answer.error, trace))
        if not isinstance(answer, Repaired):
            raise _no_answer("a defense has not ended")
        networks = [RemoteNetwork(self.ask, i) for i in range(1 + len(answer.companions))]
        companions = dict[str, nn.Module](zip(answer.companions, networks[1:], strict=True))
        artifacts = _unpacked(answer.artifacts)
        return Defended(networks[0], artifacts, companions, answer.notes), Cost(
            answer.seconds, answer.peak_mem_mb, answer.peak_reserved_mb
        )

    def ask(self, name: str, *arguments: Any) -> Reply:
        """Return what a method of ``serve.Answers`` returns in the process.

        Raises:
            ElsewhereError: it raised an exception, or the process died.
        """
        answer = self._asked(Request(name, arguments))
        if isinstance(answer, Failed):
            raise ElsewhereError(Failure(answer.status, answer.error, answer.traceback))
        if not isinstance(answer, Answer):
            raise _no_answer("a defense has ended twice")
        return Reply(answer.number, _unpacked(answer.tensors) if answer.tensors else {})

    def _asked(self, question: Job | Request, deadline: float | None = None) -> Message:
        with suppress(OSError):  # it has died, which its sentinel will report
            self._pipe.send_bytes(pickle.dumps(question))
        limit = None if deadline is None else deadline + DEADLINE_GRACE - time.monotonic()
        ready = wait([self._pipe, self._process.sentinel], limit)
        if not ready:
            raise ElsewhereError(Failure(Status.TIMEOUT, "no end at its time limit"))
        try:
            return message_from(self._pipe.recv_bytes(MOST_BYTES))
        except ValueError as error:
            raise _no_answer(str(error)) from error
        except (EOFError, OSError) as error:
            self._process.join(END_LIMIT)
            self._end()
            ended = exit_text(self._process.exitcode)
            raise ElsewhereError(
                Failure(Status.CRASH, f"the process of the defense died ({ended})")
            ) from error

    def _end(self) -> None:
        """End the process, and all that it has started."""
        self._process.terminate()  # its keeper does the rest
        self._process.join(END_LIMIT)
        self._process.kill()  # a keeper that something keeps from it
        self._process.join(END_LIMIT)


def _print(printed: Connection) -> None:
    """Print what the process prints, until it and its children have ended."""
    with printed:
        while part := os.read(printed.fileno(), 2**16):
            os.write(1, part)


def _unpacked(tensors: bytes) -> dict[str, torch.Tensor]:
    try:
        return unpack(tensors)
    except ValueError as error:
        raise _no_answer(str(error)) from error


def _no_answer(what: str) -> ElsewhereError:
    return ElsewhereError(
        Failure(
            Status.ERROR,
            f"the process of the defense sent what is no answer: {safe_text(what, 200)}",
        )
    )

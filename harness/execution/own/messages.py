"""What a worker and the process of an own defense send each other.

The process gets pickles. What it sends back is decoded by type, and tensors as safetensors: nothing
that an own file could forge runs in the worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import safetensors.torch
import torch

from harness.store.record import Status

if TYPE_CHECKING:
    from harness.contract import Budget, DefenseInfo, ModelInfo, Numerics
    from harness.data.info import DataInfo
    from harness.plan.spec import MethodSpec

MOST_BYTES = 2**33
"""The largest message that a worker takes."""


class Job(NamedTuple):
    """All that the process of an own defense is given."""

    defense: MethodSpec[DefenseInfo]
    model: MethodSpec[ModelInfo]
    """The victim's architecture."""
    data: DataInfo
    """What a network is built from: shape, classes, mean and deviation; the rest is empty."""
    weights: dict[str, torch.Tensor]
    """The victim's state dict, on the CPU."""
    budget: Budget
    """On the CPU."""
    seed: int
    numerics: Numerics
    device: str
    memory: float
    """The share of the device's memory that the process may take: what its worker leaves of its
    own."""
    threads: int
    deadline: float | None
    """By ``time.monotonic``, which is the same in all processes."""


class Request(NamedTuple):
    """A method of ``serve.Answers`` to call."""

    name: str
    arguments: tuple[Any, ...]


class Message(msgspec.Struct, frozen=True, tag=True):
    """What the process sends."""


class Repaired(Message, frozen=True):
    """The defense has ended; its networks are numbered, the companions from 1 on."""

    seconds: float
    peak_mem_mb: float | None
    peak_reserved_mb: float | None
    artifacts: bytes
    companions: list[str]
    notes: dict[str, str]
    scalars: list[dict[str, float]]


class Failed(Message, frozen=True):
    """An exception ended the defense, or the answer of a network."""

    status: Status
    error: str
    traceback: str
    scalars: list[dict[str, float]]


class Answer(Message, frozen=True):
    """What ``serve.Answers`` returned."""

    number: int = 0
    tensors: bytes = b""


_DECODER = msgspec.msgpack.Decoder(Repaired | Failed | Answer)


def to_bytes(message: Repaired | Failed | Answer) -> bytes:
    """Return a message as bytes."""
    return msgspec.msgpack.encode(message)


def message_from(content: bytes) -> Repaired | Failed | Answer:
    """Return a message from its bytes.

    Raises:
        ValueError: they are none.
    """
    message: Repaired | Failed | Answer = _DECODER.decode(content)
    return message


def pack(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Return tensors as bytes."""
    copies = {name: x.detach().cpu().contiguous().clone() for name, x in tensors.items()}
    return safetensors.torch.save(copies)


def unpack(content: bytes) -> dict[str, torch.Tensor]:
    """Return tensors from their bytes.

    Raises:
        ValueError: they are none.
    """
    try:
        return safetensors.torch.load(content)
    except Exception as error:  # safetensors has no class for all that bytes can be
        raise ValueError(f"no tensors: {error}") from error


def without_origin(data: DataInfo) -> DataInfo:
    """Return what a network is built from, without the rest of a data set's description."""
    nothing: dict[str, Any] = {"name": "", "digest": "", "class_names": (), "train_counts": ()}
    return replace(data, folder=Path(), test_count=0, **nothing)


def on_device(budget: Budget, device: torch.device) -> Budget:
    """Return the budget on a device."""
    moved: dict[str, Any] = {
        name: x.to(device) for name, x in vars(budget).items() if isinstance(x, torch.Tensor)
    }
    return replace(budget, **moved)

"""A network in the process of an own defense, which answers in the worker like a network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn


class Reply(NamedTuple):
    """What a method of ``serve.Answers`` returned."""

    number: int
    tensors: dict[str, torch.Tensor]


class Asked(Protocol):
    """Asks the process for something; a method of ``serve.Answers`` answers."""

    def __call__(self, name: str, *arguments: Any) -> Reply:
        """Return the answer; raises ElsewhereError if there is none."""


class RemoteNetwork(nn.Module):
    """Shows the same as the network itself: logits, modes, weights, and copies of it.

    Its own class may be one of the user's own, so it stays where it was made.
    """

    def __init__(self, ask: Asked, number: int = 0) -> None:
        super().__init__()
        self._ask = ask
        self._number = number

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits, on the CPU."""
        return self._tensors("logits", images.cpu().clone())["logits"]

    def train(self, mode: bool = True) -> RemoteNetwork:
        """Put the network in train or eval mode."""
        self._ask("train", self._number, mode)
        return self

    def modules(self, remove_duplicate: bool = True) -> Iterator[nn.Module]:
        """Yield one module, which is in train mode if any part of the network is."""
        self.training = bool(self._ask("training", self._number).number)
        yield self

    def named_parameters(self, *_: Any, **__: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield nothing: ``named_buffers`` has all tensors."""
        yield from ()

    def named_buffers(self, *_: Any, **__: Any) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield the parameters and the buffers."""
        yield from self._tensors("state").items()

    def state_dict(self, *_: Any, **__: Any) -> Any:
        """Return the network's state dict."""
        return self._tensors("weights")

    def __deepcopy__(self, memo: dict[int, Any]) -> RemoteNetwork:
        """Return a copy of the network, beside it."""
        return RemoteNetwork(self._ask, self._ask("copied", self._number).number)

    def _tensors(self, name: str, *arguments: Any) -> dict[str, torch.Tensor]:
        return self._ask(name, self._number, *arguments).tensors

"""Types and ranges for the fields of a ``Hyper``, and the words of declarations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Ge, Gt, Interval

Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Interval(ge=0, le=1)]
Count = Annotated[int, Ge(1)]
NonNegativeCount = Annotated[int, Ge(0)]
GreyLevels = Annotated[int, Interval(ge=2, le=256)]

Kind = Literal["attack", "defense", "model", "probe"]
Needs = Literal["clean", "triggers", "external"]
BatchNormMode = Literal["train", "eval"]
"""Batch norm while a defense trains: "train" uses the batch's statistics and moves the running
ones, "eval" uses the running ones as they are."""
Numerics = Literal["fp32", "tf32", "bf16"]
"""The arithmetic of networks, see ``harness.toolbox.numerics``."""
Layer = Literal["convolutions", "batchnorm", "encoder-blocks"]
Function = TypeVar("Function", bound=Callable[..., Any])

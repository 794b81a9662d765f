"""Checks that labels are classes, numbered from 0 without a gap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.errors import UserError

IntLabels = NDArray[np.int64]
"""Class numbers, (n,)."""
LONGEST_NAME = 200
"""Characters of the name of a class."""


def check_labels(values: Sequence[object], dtype: object, where: str) -> IntLabels:
    """Return one split's labels as (N,) integers.

    Args:
        values: one per row.
        dtype: the column's type, as ``datasets`` names it.
        where: split and column, for messages.

    Raises:
        UserError: the split is empty, the column holds no integers, or a row has no label.
    """
    if not values:
        raise UserError(f"{where}: the split is empty")
    if not str(dtype).startswith(("int", "uint")):
        raise UserError(
            f"{where}: labels must be integers or class labels, found {dtype}; "
            "name another column with 'label'"
        )
    for row, value in enumerate(values):
        if not isinstance(value, int) or not 0 <= value < 2**31:
            raise UserError(f"{where}, row {row}: no label (found {value}); drop unlabelled rows")
    return np.array(values, dtype=np.int64)


def class_names(
    train: tuple[str, IntLabels], test: tuple[str, IntLabels], names: tuple[str, ...] | None
) -> tuple[str, ...]:
    """Return the names of the classes: their numbers if the data set has no names.

    Args:
        train: the split's name, for messages, and its labels (N,).
        test: likewise.
        names: the data set's names of the classes, or ``None``.

    Raises:
        UserError: there is only one class, a class has no training image, a label has no class, or
            a name could not be shown.
    """
    where, labels = train
    present: list[int] = np.unique(labels).tolist()
    classes = len(names) if names else present[-1] + 1
    for name in names or ():
        if not name.isprintable() or len(name) > LONGEST_NAME:
            raise UserError(
                f"{where}: the class {name[:40]!r} needs a name of at most {LONGEST_NAME} letters "
                "without control characters; rename it"
            )
    gap = next(number for number, label in enumerate([*present, -1]) if number != label)
    if len(present) < 2:
        raise UserError(
            f"{where}: all images are of class {present[0]}; a classifier needs two classes"
        )
    if gap < classes:
        name = f" ({names[gap]!r})" if names else ""
        raise UserError(
            f"{where}: class {gap}{name} has no image; labels must run from 0 without a gap"
        )
    for where, labels in (train, test):
        if (largest := int(labels.max())) >= classes:
            raise UserError(
                f"{where}, row {int(labels.argmax())}: label {largest}, "
                f"but the training classes are 0..{classes - 1}"
            )
    return names or tuple(str(number) for number in range(classes))

"""Checks that labels are classes counted from 0 without a gap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.errors import UserError

Labels = NDArray[np.int64]


def check_labels(values: Sequence[object], dtype: object, where: str) -> Labels:
    """Return one split's labels as (N,) integers.

    Args:
        values: one per row.
        dtype: the column's type, as ``datasets`` names it.
        where: split and column, for the message.

    Raises:
        UserError: the split is empty, the column holds no integers, or a row has no label.
    """
    if not values:
        raise UserError(f"{where}: the split is empty")
    if not str(dtype).startswith(("int", "uint")):
        raise UserError(
            f"{where}: labels must be integers or class labels, found {dtype}; name another 'label'"
        )
    for row, value in enumerate(values):
        if not isinstance(value, int) or value < 0:
            raise UserError(f"{where}, row {row}: no label (found {value}); drop unlabelled rows")
    return np.array(values, dtype=np.int64)


def class_names(
    train: tuple[str, Labels], test: tuple[str, Labels], names: tuple[str, ...] | None
) -> tuple[str, ...]:
    """Return the names of the classes, which are their numbers when the data set gives none.

    Args:
        train: place, for the message, and (N,) labels.
        test: likewise.
        names: the names that the data set gives, or ``None``.

    Raises:
        UserError: there is only one class, a class has no training image, or a label has no class.
    """
    where, labels = train
    found: list[int] = np.unique(labels).tolist()
    classes = len(names) if names else found[-1] + 1
    gap = next(number for number, label in enumerate([*found, -1]) if number != label)
    if len(found) < 2:
        raise UserError(
            f"{where}: all images are of class {found[0]}; a classifier needs two classes"
        )
    if gap < classes:
        called = f" ({names[gap]!r})" if names else ""
        raise UserError(
            f"{where}: class {gap}{called} has no image; labels must run from 0 without a gap"
        )
    for place, values in (train, test):
        if (largest := int(values.max())) >= classes:
            row = int(values.argmax())
            raise UserError(
                f"{place}, row {row}: label {largest}, but the training classes are 0..{classes - 1}"
            )
    return names or tuple(str(number) for number in range(classes))

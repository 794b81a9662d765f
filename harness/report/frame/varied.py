"""The defenses that ran with a changed hyperparameter, by their labels in a frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from harness.report.frame.labels import StudyLabels

if TYPE_CHECKING:
    from harness.plan.study import Study


class VariedDefense(NamedTuple):
    """The label of a changed defense, and how it differs from another one."""

    label: str
    base: str
    """The label of the defense as the study lists it."""
    parameter: str
    value: float


def varied_defenses(studies: Sequence[Study], labels: StudyLabels) -> Iterator[VariedDefense]:
    """Yield the changed defenses of all studies."""
    for study in studies:
        for x in study.stability:
            label, base = (labels.of_defense(study, method) for method in (x.method, x.base))
            yield VariedDefense(label, base, x.parameter, x.value)

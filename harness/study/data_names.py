"""One name, one data set: other files under the same name get a name of their own."""

from __future__ import annotations

from dataclasses import replace

from harness.data.info import DataInfo
from harness.plan.spec import Victim


def name_apart(data: list[DataInfo], imported: list[Victim]) -> tuple[list[DataInfo], list[Victim]]:
    """Return a study's data sets, and its imported victims, with names that tell files apart.

    The first files of a name keep it; others have their digest behind it, as in "cifar10 (3f9a1c)".
    Names are part of no key.
    """
    first: dict[str, str] = {}
    for info in (*data, *(victim.data for victim in imported)):
        first.setdefault(info.name, info.digest)

    def named(info: DataInfo) -> DataInfo:
        if first[info.name] == info.digest:
            return info
        return replace(info, name=f"{info.name} ({info.digest[:6]})")

    return (
        [named(info) for info in data],
        [replace(victim, data=named(victim.data)) for victim in imported],
    )

"""Two stores become one: each record once, none of another version by accident, none damaged."""

import msgspec
import pytest

from harness.errors import UserError
from harness.execution.study_progress import study_progress
from harness.store.compact import compact
from harness.store.merge import merge
from harness.store.store import Store
from tests.helpers.filled_store import everything, fill, record, subjects


def test_stores_are_joined_once(plan, tmp_path):
    first, second = Store(tmp_path / "a"), Store(tmp_path / "b")
    for i, planned in enumerate(subjects(plan)):
        for store in (first, second)[i % 2 :][: 1 if i else 2]:
            store.append(record(planned, store))
    merged = merge(first, second)
    assert (merged.records, merged.artifacts) == (3, 3)
    assert study_progress(plan, first.latest()).cells == {"ok": 4}
    assert all(first.has_artifacts(x) for x in first.latest().values())
    assert merge(first, second) == (0, 0)
    assert len(list(first.lines())) == 6


def test_other_versions_do_not_join_unless_told(plan, tmp_path):
    first = fill(plan, tmp_path / "a")
    second = fill(plan, tmp_path / "b", version=7, finished="2026-02-01")
    before = everything(first)
    with pytest.raises(
        UserError, match=r"(?s)defense ft: version 7 in \S*b, but 1 in \S*a\n.*--mixed-versions"
    ):
        merge(first, second)
    assert everything(first) == before
    assert merge(first, second, mixed=True).records == 6


def test_a_damaged_artifact_stops_a_merge(plan, tmp_path):
    first, second = Store(tmp_path / "a"), fill(plan, tmp_path / "b")
    next(second.artifacts_folder.glob("*/*")).write_bytes(b"no")
    with pytest.raises(UserError, match=r"cannot be read|damaged"):
        merge(first, second)
    assert list(first.lines()) == []
    with pytest.raises(UserError, match="no store with records"):
        merge(first, Store(tmp_path / "nothing"))


def test_a_record_under_the_key_of_another_spec_is_refused(plan, tmp_path):
    first, second = fill(plan, tmp_path / "a"), fill(plan, tmp_path / "b")
    none, ft = plan.cells[:2]
    for forged in (
        msgspec.structs.replace(record(none, second, finished="2027-01-01"), key=ft.key),
        msgspec.structs.replace(record(none.victim, second), key="0" * 24),
    ):
        store, others = Store(tmp_path / forged.key), everything(first)
        store.append(forged)
        refusal = (
            rf"^\S*{forged.key}/records: record {forged.key}: its spec has another key [^\n]*$"
        )
        with pytest.raises(UserError, match=refusal):
            merge(first, store)
        assert everything(first) == others
    second.append(msgspec.structs.replace(record(none, second), key=ft.key))
    before = everything(second)
    with pytest.raises(
        UserError, match=rf"record {ft.key}: its spec has another key \({none.key}\)"
    ):
        compact(second, plan.name, plan.keys())
    assert everything(second) == before

"""The record as a type: old records decode, new ones have the frozen schema, a typo is an error."""

import json
import pickle
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from msgspec import to_builtins

from harness.cli.main import cli
from harness.plan.keys import digest
from harness.store.record import (
    CellRecord,
    PreparedRecord,
    Record,
    Status,
    VictimRecord,
    artifact_names,
    to_json,
)
from harness.store.record_files import parse_line, to_line
from harness.store.record_schema import record_schema
from tests.helpers import records
from tests.helpers.filled_store import subjects

HERE = Path(__file__).parent
OLD = (HERE / "old_records.jsonl").read_bytes().splitlines()


@pytest.fixture(scope="module")
def old():
    """Records that were written before the record was a type, by kind."""
    decoded = [parse_line(line).record() for line in OLD]
    return {
        kind: [x for x in decoded if isinstance(x, kind)]
        for kind in (VictimRecord, CellRecord, PreparedRecord)
    }


def test_old_victims_decode(old):
    badnets, clean, wanet, lf, imported = old[VictimRecord]
    assert badnets.key == digest(to_builtins(badnets.spec))
    assert (badnets.status, badnets.schema, badnets.environment.threads) == (Status.OK, 1, 1)
    assert badnets.spec.attack.hyper["size"] == 2
    assert badnets.result.acc == 0.9887640449438202
    assert (badnets.result.poisoned, badnets.result.drawn) == (135, None)
    assert badnets.result.artifacts.poison.endswith(".safetensors.gz")
    assert badnets.scalars[0] == {"step": 0.0, "loss": 2.252851867675781}
    assert (clean.spec.attack.name, clean.spec.rate, clean.result.psnr) == ("none", 0, None)
    assert wanet.result.drawn.backdoors > 0
    assert lf.spec.clean == clean.key
    assert (imported.spec.training, imported.spec.importing, imported.spec.recipe) == (
        None,
        1,
        None,
    )
    assert imported.result.source.path == "records/badnet_0_1"
    assert imported.result.reported.acc == imported.result.acc
    assert (imported.result.cross.images, imported.result.unclear) == (24, 10)


def test_old_cells_and_prepared_states_decode(old):
    none, ims, fp, crashed = old[CellRecord]
    assert (none.result.changed, none.result.companions, none.result.notes) == (0.0, {}, {})
    assert ims.result.companions["inverse"].auroc_victim > 0.5
    assert set(artifact_names(ims)) == {"predictions", "method"}
    assert fp.spec.budget.spc == 10
    assert fp.result.n_clean == 100
    assert (crashed.status, crashed.result, crashed.environment) == (Status.CRASH, None, None)
    assert crashed.error == "the worker process died (signal 9)"
    assert artifact_names(crashed) == {}
    (prepared,) = old[PreparedRecord]
    assert prepared.key == digest(to_builtins(prepared.spec))
    assert prepared.result.artifacts.byproduct.endswith(".safetensors")


def test_old_records_are_written_as_they_were():
    assert [to_line(parse_line(line).record()).encoded() for line in OLD] == OLD


def test_fields_of_a_later_version_are_ignored_and_kept_on_disk():
    values = to_json(records.cell_of_no_study()) | {"licence": "MIT"}
    values["result"]["auc"] = 0.5
    line = parse_line(json.dumps(values).encode())
    assert line.record() == records.cell_of_no_study()
    assert json.loads(line.encoded()) == values


def test_a_record_has_the_spec_and_key_of_what_was_planned(plan):
    for planned in subjects(plan):
        record = records.ok(planned)
        assert to_builtins(record.spec) == planned.spec
        assert (record.key, record.name) == (planned.key, planned.name)
        assert pickle.loads(pickle.dumps(record)) == record


def test_versions_name_methods_and_loops(plan):
    victim, cell = plan.cells[0].victim, plan.cells[-1]
    assert records.ok(victim).versions() == {
        "attack badnets": victim.attack.version,
        "model preactresnet18": victim.model.version,
        "training": str(victim.spec["training"]),
    }
    assert records.ok(cell).versions() == {
        f"defense {cell.defense.name}": cell.defense.version,
        "evaluation": str(cell.spec["evaluation"]),
    }


def test_a_missing_field_is_an_error():
    values = to_json(records.cell_of_no_study())
    del values["result"]["asr"]
    with pytest.raises(msgspec.ValidationError, match="missing required field `asr`"):
        msgspec.convert(values, Record)


def test_the_schema_is_frozen():
    """After a change that is meant: ``python -m tests.regenerate record-schema``."""
    assert record_schema() == json.loads((HERE / "record_schema.json").read_text(encoding="utf-8"))


def test_every_field_is_described():
    for name, definition in record_schema()["$defs"].items():
        assert definition["description"], name
        for field, about in definition.get("properties", {}).items():
            assert field == "kind" or about.get("description"), f"{name}.{field}"


def test_the_schema_is_printed():
    shown = CliRunner().invoke(cli, ["schema", "record"], standalone_mode=False)
    assert json.loads(shown.output) == record_schema()

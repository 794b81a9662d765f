"""Writes the files that tests compare with: ``python -m tests.regenerate [NAME...]``.

Run it when what these files show is meant to change; read the diff and commit it with the change.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.contract import Kind
from harness.plan.registry import Method, describe, names

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "report" / "golden"
SCHEMA = ROOT / "tests" / "store" / "record_schema.json"
STUDY_SCHEMA = ROOT / "configs" / "study.schema.json"
CONFIGS = ROOT / "configs" / "README.md"
RECORD = ROOT / "docs" / "record.md"
PROBES = ROOT / "harness" / "probes" / "README.md"
TYPES = {
    "Numerics | None": "name",
    "AtLeastOne": "list",
    "Annotated[list[Seed], MinLen(1)]": "list of whole numbers, 0 or more",
    "Rates": "list of numbers above 0",
    "Gate": "mapping",
    "Rank": "mapping",
    "list[Any]": "list",
    "Paper": "mapping",
    "Positive | None": "number above 0",
    "bool": "true or false",
    "list[Skip]": "list of mappings",
    "list[str]": "list of names",
    "str | None": "text",
    "Annotated[str, AfterValidator(_valid_name)] | None": "text",
}
"""What the annotations of a study file mean to its author."""
MIXED = {"recipe": "name or mapping", "target": "class number or name"}
"""Keys that are annotated with Any, because they take several types."""
LONGEST_DEFAULT = 150
"""Letters of a default that stands in the table."""
REQUIRED = {"data", "models", "attacks"}
"""Keys that are required unless a study has ``victims``; the dataclass gives them a default."""


def report_tables() -> dict[Path, str]:
    """Return the report's files for a synthetic frame, those that are kept under ``golden``."""
    from harness.report.write import write_report
    from tests.helpers.synthetic_frames import golden_report

    with tempfile.TemporaryDirectory() as folder:
        write_report(golden_report(), Path(folder))
        return {
            path: (Path(folder) / path.name).read_text(encoding="utf-8")
            for path in sorted(GOLDEN.iterdir())
        }


def record_schema_file() -> dict[Path, str]:
    """Return the JSON Schema of a record, as ``defuse schema record`` prints it."""
    from harness.store.record_schema import record_schema

    return {SCHEMA: json.dumps(record_schema(), indent=2) + "\n"}


def study_schema_file() -> dict[Path, str]:
    """Return the JSON Schema of a study, as ``defuse schema study`` prints it."""
    from harness.study.json_schema import study_schema

    return {STUDY_SCHEMA: json.dumps(study_schema(), indent=2) + "\n"}


def study_keys() -> dict[Path, str]:
    """Return ``configs/README.md`` with the table of the keys of a study."""
    from harness.plan.gate import Gate
    from harness.plan.paper import Paper
    from harness.study.described import described_fields
    from harness.study.schema import Skip, StudyFile

    rows = [
        "| key | type | default | meaning |",
        "|--|--|--|--|",
        *(_row(field, text) for field, text in described_fields(StudyFile)),
    ]
    nested = [
        f"`{key}` takes {', '.join(_nested(kind))}."
        for key, kind in (("gate", Gate), ("skip", Skip), ("paper", Paper))
    ]
    return {CONFIGS: _with_block(CONFIGS, "keys", "\n".join([*rows, "", *nested]))}


def _default(field: dataclasses.Field[Any]) -> str | None:
    """Return a field's default as YAML, None for a field without one."""
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    elif field.default is not dataclasses.MISSING:
        value = field.default
    else:
        return None
    if dataclasses.is_dataclass(value):
        value = dataclasses.asdict(value)  # type: ignore[arg-type]
    return "" if value is None else json.dumps(value).replace('"', "")


def _row(field: dataclasses.Field[Any], text: str) -> str:
    kind = MIXED.get(field.name) or TYPES[str(field.type)]
    default = _default(field)
    if field.name in REQUIRED or default is None:
        shown = "required"
    elif len(default) > LONGEST_DEFAULT:
        shown = "below"
    else:
        shown = f"`{default}`" if default else "none"
    return f"| `{field.name}` | {kind} | {shown} | {text.replace('``', '`')} |"


def _nested(kind: type) -> list[str]:
    return [
        f"`{field.name}` ({default})" if (default := _default(field)) else f"`{field.name}`"
        for field in dataclasses.fields(kind)
    ]


def method_tables() -> dict[Path, str]:
    """Return the pages of attacks, defenses and probes with their tables of methods."""
    return {
        ROOT / "attacks" / "README.md": _page_with_methods("attack", _attack_row),
        ROOT / "defenses" / "README.md": _page_with_methods("defense", _defense_row),
        PROBES: _page_with_methods("probe", _probe_row),
    }


def _page_with_methods(kind: Kind, row: Callable[[Method], dict[str, str]]) -> str:
    rows = [row(describe(kind, name)) for name in names(kind)]
    table = "\n".join(
        f"| {' | '.join(cells)} |"
        for cells in (rows[0], ["--"] * len(rows[0]), *(list(x.values()) for x in rows))
    )
    page = PROBES if kind == "probe" else ROOT / f"{kind}s" / "README.md"
    return _with_block(page, "methods", table)


def _attack_row(method: Method) -> dict[str, str]:
    info = method.info
    traits = {
        "clean label": info.clean_label,
        "clean model": info.clean_model,
        "trains the model": "TrainingControl" in str(method.function.__annotations__["return"]),
        "all-to-all": info.all_to_all,
    }
    return {
        "name": f"`{method.name}`",
        "shown as": method.display_name,
        "paper": info.paper or "-",
        "traits and needs": ", ".join(name for name, holds in traits.items() if holds) or "-",
    }


def _defense_row(method: Method) -> dict[str, str]:
    info = method.info
    return {
        "name": f"`{method.name}`",
        "shown as": method.display_name,
        "paper": info.paper or "-",
        "family": info.family,
        "needs": info.needs,
        "least SPC": str(info.least_spc),
        "works on": info.requires or "any layers",
        "varied": ", ".join(f"`{name}`" for name in info.varied) or "-",
    }


def _probe_row(method: Method) -> dict[str, str]:
    return {
        "name": f"`{method.name}`",
        "shown as": method.display_name,
        "paper": method.info.paper,
        "measures": ", ".join(number.label for number in method.info.numbers.values()),
        "works on": method.info.requires or "any layers",
    }


def front_page() -> dict[Path, str]:
    """Return the front page with its table of all methods."""
    by_family: dict[str, list[str]] = {}
    for name in names("attack"):
        if name != "none":
            by_family.setdefault("attacks", []).append(describe("attack", name).display_name)
    defenses = [describe("defense", name) for name in names("defense") if name != "none"]
    for method in sorted(defenses, key=lambda method: method.info.family):
        row = "oracle" if method.info.needs == "triggers" else method.info.family
        by_family.setdefault(f"defenses: {row}", []).append(method.display_name)
    by_family["architectures"] = [describe("model", name).display_name for name in names("model")]
    rows = ["| kind | methods |", "|--|--|"]
    rows += [f"| {kind} | {', '.join(sorted(found))} |" for kind, found in by_family.items()]
    path = ROOT / "README.md"
    return {path: _with_block(path, "methods", "\n".join(rows))}


def record_columns() -> dict[Path, str]:
    """Return the page of records with the tables of columns."""
    from harness.report.frame.columns import CELL_COLUMNS, DERIVED_COLUMNS, VICTIM_COLUMNS, Column

    def table(title: str, columns: dict[str, Column]) -> str:
        rows = [f"| `{name}` | {x.unit} | {x.meaning} |" for name, x in columns.items()]
        return "\n".join([f"| {title} | unit | is |", "|--|--|--|", *rows])

    probes = {"retune.p_asr": Column("", "a number of a probe, one column each")}
    text = "\n\n".join(
        [
            table("column of `cells`", CELL_COLUMNS | probes | DERIVED_COLUMNS),
            table("column of `victims`", VICTIM_COLUMNS),
        ]
    )
    return {RECORD: _with_block(RECORD, "columns", text)}


def notebook() -> dict[Path, str]:
    """Return the notebook with what its cells show now."""
    from tests.helpers.notebooks import NOTEBOOK, executed

    return {NOTEBOOK: json.dumps(executed(NOTEBOOK), indent=1, ensure_ascii=False) + "\n"}


def _with_block(page: Path, name: str, block: str) -> str:
    """Return a page with another text between its marks ``name`` and ``end of name``."""
    text = page.read_text(encoding="utf-8")
    marked = rf"(<!-- {name}: [^\n]* -->\n\n).*?(<!-- end of {name} -->)"
    return re.sub(marked, lambda m: m[1] + block + "\n\n" + m[2], text, flags=re.DOTALL)


GENERATED: dict[str, Callable[[], dict[Path, str]]] = {
    "report": report_tables,
    "study-keys": study_keys,
    "methods": method_tables,
    "readme": front_page,
    "columns": record_columns,
    "notebook": notebook,
    "record-schema": record_schema_file,
    "study-schema": study_schema_file,
}
"""Each name with the function that returns the files and their text."""


def main(names: list[str]) -> None:
    """Write the files of the names, or of all."""
    for name in names or GENERATED:
        for path, text in GENERATED[name]().items():
            path.write_text(text, encoding="utf-8")
            print(path.relative_to(ROOT))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])

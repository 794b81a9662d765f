"""Commands that maintain a store: compact, merge, gc."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import DATA_ROOT, OK, OUT, STUDY, echo
from harness.study.builtin import find_study

if TYPE_CHECKING:
    from harness.plan.study import Study
    from harness.store.gc import Needed


@click.command(short_help="Pack records into one file.")
@STUDY
@OUT
@DATA_ROOT
def compact(study_path: Path, out: Path, data_root: Path | None) -> int:
    """Pack the finished records of STUDY into one parquet file."""
    from harness.store.compact import compact as compact_records
    from harness.store.store import store_of
    from harness.study.load import load_study

    study = load_study(study_path, data_root)
    packed = compact_records(store_of(out), study.name, study.keys())
    if packed.path is None:
        echo("nothing to pack: no records, or all of them packed or still being written")
    else:
        echo(f"{packed.records} records of {packed.files} files are now in {packed.path}")
    return OK


@click.command(short_help="Join the results of another machine.")
@click.argument("into", type=click.Path(path_type=Path, file_okay=False))
@click.argument("other", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--mixed-versions", is_flag=True, help="Also join records of other method versions.")
def merge(into: Path, other: Path, mixed_versions: bool) -> int:
    """Copy what the results OTHER, from another machine, have and the results INTO lack."""
    from harness.store.merge import merge as merge_stores
    from harness.store.store import store_of

    merged = merge_stores(store_of(into), store_of(other), mixed=mixed_versions)
    echo(f"{merged.records} records and {merged.artifacts} artifacts were copied into {into}")
    return OK


@click.command(short_help="Show what can be freed.")
@click.argument("study_paths", metavar="[STUDY...]", nargs=-1, type=find_study)
@click.option("--delete", is_flag=True, help="Delete what is shown.")
@OUT
@DATA_ROOT
def gc(study_paths: tuple[Path, ...], delete: bool, out: Path, data_root: Path | None) -> int:
    """Show what can be freed; with STUDIES, all that these don't need. Records always stay."""
    from harness.data.cache import default_cache
    from harness.store.gc import delete_garbage, find_garbage, spared_bytes
    from harness.store.store import store_of
    from harness.study.load import load_study

    studies = [load_study(path, data_root) for path in study_paths]
    store = store_of(out)
    garbage = find_garbage(store, default_cache(), needed_by(studies) if studies else None)
    sizes: Counter[str] = Counter()
    for item in garbage:
        echo(f"{item.size / 2**20:10.2f} MB  {item.kind:12}  {item.path}")
        sizes[item.kind] += item.size
    totals = ", ".join(f"{kind} {size / 2**20:.1f} MB" for kind, size in sorted(sizes.items()))
    echo(f"{'freed' if delete else 'can be freed (--delete)'}: {totals or 'nothing'}")
    needed = "these studies need" if studies else "records name"
    spared = spared_bytes(store, garbage) / 2**20
    echo(f"spared: {spared:.1f} MB of artifacts that {needed} or that are new, and all records")
    if delete:
        delete_garbage(garbage)
    return OK


def needed_by(studies: list[Study]) -> Needed:
    """Return the records and data sets that studies need."""
    from harness.plan.keys import digest
    from harness.store.gc import Needed

    trained = [
        victim
        for study in studies
        for victim in study.victims().values()
        if not victim.source.imported
    ]
    keys = set().union(*(study.keys() for study in studies))
    prepared = {digest(victim.prepared_spec) for victim in trained}
    datasets = {cell.victim.data.digest for study in studies for cell in study.cells}
    return Needed(keys | prepared, datasets)

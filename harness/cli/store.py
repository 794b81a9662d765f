"""Commands that keep a store: compact, merge, gc."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from harness.cli.options import DATA_ROOT, OUT, STUDY, echo, plan_of


@click.command()
@STUDY
@OUT
@DATA_ROOT
def compact(study: Path, out: Path, data_root: Path | None) -> int:
    """Pack the finished records of STUDY into one parquet file."""
    from harness.execution.run import store_of
    from harness.store.compact import compact as pack

    packed = pack(plan_of(study, data_root), store_of(out))
    if packed.path is None:
        echo("nothing to pack: no records, or all of them packed or still being written")
    else:
        echo(f"{packed.records} records of {packed.files} files are now in {packed.path}")
    return 0


@click.command()
@click.argument("into", type=click.Path(path_type=Path, file_okay=False))
@click.argument("other", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--mixed-versions", is_flag=True, help="Also join records of other method versions.")
def merge(into: Path, other: Path, mixed_versions: bool) -> int:
    """Copy into the results INTO what the results OTHER, from another machine, hold beyond it."""
    from harness.execution.run import store_of
    from harness.store.merge import merge as join

    merged = join(store_of(into), store_of(other), mixed=mixed_versions)
    echo(f"{merged.records} records and {merged.artifacts} artifacts came into {into}")
    return 0


@click.command()
@click.argument("studies", type=click.Path(path_type=Path), nargs=-1)
@click.option("--delete", is_flag=True, help="Delete what is shown.")
@OUT
@DATA_ROOT
def gc(studies: tuple[Path, ...], delete: bool, out: Path, data_root: Path | None) -> int:
    """Show what can be freed; with STUDIES, all that these don't need. Records always stay."""
    from harness.data.cache import default_cache
    from harness.execution.run import store_of
    from harness.store.gc import free, waste

    found = waste(store_of(out), [plan_of(study, data_root) for study in studies], default_cache())
    sizes: Counter[str] = Counter()
    for item in found:
        echo(f"{item.size / 2**20:10.2f} MB  {item.kind:12}  {item.path}")
        sizes[item.kind] += item.size
    parts = ", ".join(f"{kind} {size / 2**20:.1f} MB" for kind, size in sorted(sizes.items()))
    echo(f"{'freed' if delete else 'can be freed (--delete)'}: {parts or 'nothing'}")
    if delete:
        free(found)
    return 0

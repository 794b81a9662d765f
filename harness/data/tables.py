"""Reads tables of encoded images with ``datasets``: parquet files and the hub."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data.catalog import CatalogEntry
from harness.data.labels import check_labels
from harness.data.splits import Encoded, RawDataset, Split, join_splits
from harness.errors import UserError, nearest

if TYPE_CHECKING:
    from harness.data.locate import Files, RawSource


def read_parquet(source: RawSource, files: Files, scratch: Path) -> RawDataset:
    """Open parquet files; ``datasets`` writes its own copy to the scratch folder.

    Raises:
        UserError: a file is damaged, or a column is missing or of the wrong type.
    """
    from datasets import disable_progress_bars, exceptions, load_dataset

    disable_progress_bars()  # also a dry run would begin with them
    splits = source.entry.splits
    try:
        paths = {split: _with_rows(x) for split, x in zip(splits, files, strict=True)}
        for split in splits:
            if not paths[split]:
                raise UserError(f"{source.folder}, {split}: the split is empty")
        loaded = load_dataset("parquet", data_files=paths, cache_dir=str(scratch))
    except (exceptions.DatasetsError, OSError, ValueError) as error:
        raise UserError(
            f"data set {source.name!r}: cannot read {source.folder}: {_cause(error)}"
        ) from error
    return _tables(source.entry, [loaded[split] for split in splits], str(source.folder))


def _with_rows(files: tuple[Path, ...]) -> list[str]:
    """Return the files that have rows, as escaped patterns.

    ``datasets`` reads file names as patterns, and fails on files without rows.
    """
    from pyarrow.parquet import read_metadata

    return [glob.escape(str(path)) for path in files if read_metadata(path).num_rows]


def read_hub(source: RawSource) -> RawDataset:
    """Download from the hub, or use its cache of an earlier download.

    Raises:
        UserError: the hub cannot be reached, or a column is missing or of the wrong type.
    """
    from datasets import disable_progress_bars, exceptions, load_dataset
    from huggingface_hub.utils import logging as hub_logging

    disable_progress_bars()
    hub_logging.set_verbosity_error()  # no message per retry; the last error is reported below
    entry = source.entry
    try:
        loaded = load_dataset(entry.hub, entry.config, split=list(entry.splits))
    except (exceptions.DatasetsError, OSError, ValueError) as error:
        raise UserError(
            f"data set {source.name!r}: cannot download {entry.hub} ({_cause(error)}): "
            f"{source.missing}"
        ) from error
    return _tables(entry, loaded, f"hub {entry.hub}")


def _cause(error: BaseException) -> str:
    """Return the first line of the error that caused an error in the first place."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).splitlines() or [type(error).__name__])[0]


def _tables(entry: CatalogEntry, tables: list[Any], where: str) -> RawDataset:
    """Open two tables of ``datasets``."""
    train, test = (
        _table(entry, table, f"{where}, {split}")
        for table, split in zip(tables, entry.splits, strict=True)
    )
    names = getattr(tables[0].features[entry.label], "names", None)
    return join_splits(train, test, tuple(names) if names else None)


def _table(entry: CatalogEntry, table: Any, where: str) -> Split:
    from datasets import Image

    for key, column in (("image", entry.image), ("label", entry.label)):
        if column not in table.column_names:
            raise UserError(
                f"{where}: no column {column!r}{nearest(column, table.column_names)} (set {key!r})"
            )
    _check_images(table.features[entry.image], f"{where}, column {entry.image!r}")
    column = table.features[entry.label]
    values = table.select_columns([entry.label])[:][entry.label]
    labels = check_labels(
        values, getattr(column, "dtype", column), f"{where}, column {entry.label!r}"
    )
    images = table.select_columns([entry.image]).cast_column(entry.image, Image(decode=False))

    def fetch(start: int, stop: int) -> list[Encoded]:
        return [_content(cell) for cell in images[start:stop][entry.image]]

    def names() -> list[str]:
        return [str((cell or {}).get("path")) for cell in images[:][entry.image]]

    return Split(where=where, labels=labels, fetch=fetch, column=entry.image, names=names)


def _check_images(feature: object, where: str) -> None:
    from datasets import Image, Value

    binary = isinstance(feature, Value) and feature.dtype in ("binary", "large_binary")
    packed = isinstance(feature, dict) and "bytes" in feature
    if not (isinstance(feature, Image) or binary or packed):
        raise UserError(f"{where} holds no encoded images; name the image column with 'image'")


def _content(cell: dict[str, Any] | None) -> Encoded:
    """Return an image file's content, or its path if the table does not hold the content."""
    if cell is None or (cell["bytes"] is None and cell["path"] is None):
        return None
    content: bytes | None = cell["bytes"]
    return content if content is not None else Path(cell["path"])

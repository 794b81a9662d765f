"""Finds a data set's images, and gives the state of their files a signature."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.data.archives import ArchiveLayout, find_layout
from harness.data.catalog import CatalogEntry, resolve_entry
from harness.data.file_cache import file_stamp
from harness.data.options import DataOptions
from harness.errors import UserError

_IMAGES = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
_OTHER_NAMES = {"tiny_imagenet": "tiny"}  # folders as BackdoorBench calls them
_FORMAT = 2  # raise it when the same files would be decoded to other arrays than before

Files = tuple[tuple[Path, ...], tuple[Path, ...]]


@dataclass(frozen=True, kw_only=True)
class RawSource:
    """One data set's raw images, found but not yet read.

    Attributes:
        name: the data set's name in the study.
        entry: the catalogue's entry with the study's overrides.
        signature: 64 hexadecimal characters that change with the files or the way to decode them.
        folder: the local folder; ``None`` for the hub and for the embedded digits.
        files: the local training and test files; ``None`` likewise, and with a layout.
        missing: for the hub, one sentence that says what to do if it cannot be reached.
        layout: how to read an extracted archive.
    """

    name: str
    entry: CatalogEntry
    signature: str
    folder: Path | None = None
    files: Files | None = None
    missing: str = ""
    layout: ArchiveLayout | None = None


def locate(name: str, options: DataOptions, root: Path | None) -> RawSource:
    """Find a data set.

    The first that applies: ``options.path``, ``options.hub``, ``<root>/<name>``, embedded, the hub.
    A local folder holds either parquet files ``train*`` and ``test*``, at any depth, or images as
    ``train/<class>/<image>`` and ``test/<class>/<image>``, or one of the layouts of
    ``harness.data.archives``.

    Args:
        name: a name in the catalogue, or any other with ``options.path`` or ``options.hub``.
        options: the study's overrides.
        root: folder with one folder per data set, or ``None``.

    Raises:
        UserError: the name is unknown, or the folder is missing or holds no data set.
    """
    entry = resolve_entry(name, options)
    if options.path is not None:
        return _local(name, entry, Path(options.path).expanduser())
    if options.hub is None and root is not None:
        for folder in (root / name, root / _OTHER_NAMES.get(name, name)):
            if folder.is_dir():
                return _local(name, entry, folder)
    if entry.hub is None:
        return RawSource(name=name, entry=entry, signature=_signature(["digits"], entry))
    signature = _signature(["hub", entry.hub, entry.config], entry)
    return RawSource(
        name=name, entry=entry, signature=signature, missing=_advice(name, entry, root)
    )


def _advice(name: str, entry: CatalogEntry, root: Path | None) -> str:
    """Return the sentence that says how to download a data set from the hub."""
    target = (root or Path("data")) / name
    then = "" if root else ", and set DEFUSE_DATA=data"
    only = f' --include "{entry.config}/*"' if entry.config else ""
    command = f"hf download {entry.hub} --repo-type dataset{only} --local-dir {target}"
    reason = f"{target} does not exist" if root else "no folder of local data sets is set"
    return f"{reason}; on a machine with network access, run: {command}{then}"


def _local(name: str, entry: CatalogEntry, folder: Path) -> RawSource:
    """Return the source for a local folder; raise a UserError if it is no data set."""
    if not folder.is_dir():
        raise UserError(f"data set {name!r}: no folder {folder}; correct 'path'")
    layout = find_layout(folder)
    if layout is not None:
        stamps = [_stamp(folder, path) for path in layout.files]
        signature = _signature(stamps, entry)
        return RawSource(name=name, entry=entry, signature=signature, folder=folder, layout=layout)
    inner = folder / entry.config if entry.config and (folder / entry.config).is_dir() else folder
    train, test = (_parquet(inner, split) or _images(inner, split) for split in entry.splits)
    for split, files in zip(entry.splits, (train, test), strict=True):
        if not files:
            raise UserError(
                f"data set {name!r}: {inner} has no {split!r} split; "
                f"it needs {split}*.parquet, or images as {split}/<class>/<image>"
            )
    if (train[0].suffix == ".parquet") != (test[0].suffix == ".parquet"):
        raise UserError(
            f"data set {name!r}: {inner} has one split as parquet and one as images; use one kind"
        )
    stamps = [_stamp(inner, path) for path in train + test]
    return RawSource(
        name=name,
        entry=entry,
        signature=_signature(stamps, entry),
        folder=inner,
        files=(train, test),
    )


def _parquet(folder: Path, split: str) -> tuple[Path, ...]:
    """Return the split's parquet files, named ``<split>*`` or in a folder of that name."""
    named = re.compile(rf"{re.escape(split)}([-_.\d]|$)")
    visible = (path for path in folder.rglob("*.parquet") if not _hidden(_inside(path, folder)))
    return tuple(
        sorted(path for path in visible if named.match(path.stem) or path.parent.name == split)
    )


def _images(folder: Path, split: str) -> tuple[Path, ...]:
    """Return the split's image files, class by class.

    Raises:
        UserError: an image is not directly in a class folder, where it would not be read, or a link
            leads nowhere.
    """
    found: list[Path] = []
    for above in _visible(folder / split):
        if not above.exists():
            raise UserError(f"{above}: a link to nothing in the place of a class; fix or remove it")
        inside = _visible(above) if above.is_dir() else []
        found += [path for path in inside if _is_image(path) and not path.is_dir()]
        deeper = (x for path in inside if path.is_dir() for x in sorted(path.rglob("*")))
        for path in [above] if _is_image(above) and not above.is_dir() else deeper:
            if _is_image(path) and not _hidden(_inside(path, folder / split)):
                raise UserError(
                    f"{path}: an image that belongs directly in a class folder, "
                    f"{split}/<class>/<image>; move or remove it"
                )
    return tuple(sorted(found, key=str))


def _visible(folder: Path) -> list[Path]:
    """Return what is in a folder, sorted and without hidden entries; nothing if it is none."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in _IMAGES


def _inside(path: Path, folder: Path) -> tuple[str, ...]:
    return path.parts[len(folder.parts) :]


def _hidden(parts: tuple[str, ...]) -> bool:
    return any(part.startswith(".") for part in parts)


def _stamp(folder: Path, path: Path) -> list[str | int]:
    """Return a file's relative name, size and modification time.

    Raises:
        UserError: it is a link to nothing or to itself, or may not be read.
    """
    try:
        return ["/".join(_inside(path, folder)), *file_stamp(path)]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; fix or remove it") from error


def _signature(origin: Sequence[object], entry: CatalogEntry) -> str:
    tracks = ["tracks"] if entry.tracks else []
    decoding = [_FORMAT, entry.image, entry.label, entry.size, *entry.splits, *tracks]
    return hashlib.sha256(json.dumps([origin, decoding]).encode()).hexdigest()

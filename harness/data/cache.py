"""Decodes each data set once, and finds it again in milliseconds.

For each decoded data set, a cache folder holds ``<digest>/`` with four arrays and ``info.json``;
``index/<signature>.json`` maps the state of the source files to that digest and the class names,
which are not part of the digest. Files are moved into place one by one, and their bytes do not
depend on the process that writes them, so processes may race. ``info.json`` comes last and lists
the sizes of the other files: an incomplete entry is recognised by them.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import numpy as np

from harness.data.catalog import CatalogEntry
from harness.data.decode import GROUPS, decode
from harness.data.file_cache import Json, load_json, writing_to
from harness.data.info import DataInfo, DatasetArrays
from harness.data.locate import RawSource, locate
from harness.data.open_raw import open_raw
from harness.data.options import DataOptions
from harness.errors import UserError

_INFO = "info.json"
_LINK = "link.json"
_ARRAYS = tuple(f"{name}.npy" for name in DatasetArrays._fields)


def default_cache() -> Path:
    """Return ``$DEFUSE_CACHE/data``; else ``defuse/data`` in ``$XDG_CACHE_HOME`` or ~/.cache."""
    if own := os.environ.get("DEFUSE_CACHE"):
        return Path(own).expanduser() / "data"
    shared = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(shared).expanduser() / "defuse" / "data"


def default_root() -> Path | None:
    """Return the folder of local data sets, ``$DEFUSE_DATA``, or ``None``."""
    root = os.environ.get("DEFUSE_DATA")
    return Path(root).expanduser() if root else None


def prepare(name: str, options: DataOptions, root: Path | None, cache: Path) -> DataInfo:
    """Return a data set; decode it first if its files are not in the cache as they are now.

    Args:
        name: a name in the catalogue, or any other with ``options.path`` or ``options.hub``.
        options: the study's overrides.
        root: folder of local data sets, or ``None``.
        cache: folder of decoded data sets, made if need be.

    Raises:
        UserError: the data set cannot be found, read or decoded, or an override does not fit it.
    """
    source = locate(name, options, root)
    entry = _recall(source, cache)
    if entry is None:
        _decode(source, cache)
        entry = _recall(source, cache)
    if entry is None:
        raise UserError(
            f"cache {cache}: the entry of {name!r} disappeared while it was written; run again"
        )
    return _describe(source, entry, cache)


def _recall(source: RawSource, cache: Path) -> Json | None:
    """Return the cache's complete entry for this state of the source, else ``None``."""
    link = load_json(cache / "index" / f"{source.signature}.json")
    if link is None:
        return None
    folder = cache / link["digest"]
    info = load_json(folder / _INFO)
    if info is None or any(_size(folder / file) != size for file, size in info["files"].items()):
        return None
    return {**info, **link}


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.exists() else None


def _decode(source: RawSource, cache: Path) -> None:
    """Decode into a temporary folder, then move the files into the cache."""
    with writing_to(cache):
        (cache / "index").mkdir(exist_ok=True)
        scratch = tempfile.TemporaryDirectory(dir=cache, prefix=".decoding-")
    with scratch as name:
        folder = Path(name)
        digest = _fill(source, folder)
        (cache / digest).mkdir(exist_ok=True)
        for file in (*_ARRAYS, GROUPS, _INFO):
            if (folder / file).exists():
                (folder / file).replace(cache / digest / file)
        (folder / _LINK).replace(cache / "index" / f"{source.signature}.json")


def _fill(source: RawSource, folder: Path) -> str:
    """Write the arrays and their description into an empty folder; return their digest."""
    (folder / "source").mkdir()
    raw = open_raw(source, folder / "source")
    digest, shape = decode(raw, source.entry.size, folder)
    info = {
        "shape": shape,
        "train_counts": np.bincount(raw.train.labels).tolist(),
        "test_count": len(raw.test.labels),
        "files": {
            file: _size(folder / file) for file in (*_ARRAYS, GROUPS) if (folder / file).exists()
        },
    }
    (folder / _INFO).write_text(json.dumps(info))
    (folder / _LINK).write_text(json.dumps({"digest": digest, "class_names": raw.names}))
    return digest


def _describe(source: RawSource, entry: Json, cache: Path) -> DataInfo:
    mean, std = _normalisation(source.name, source.entry, entry["shape"][0])
    return DataInfo(
        name=source.name,
        digest=entry["digest"],
        folder=cache / entry["digest"],
        classes=len(entry["class_names"]),
        class_names=tuple(entry["class_names"]),
        shape=tuple(entry["shape"]),
        train_counts=tuple(entry["train_counts"]),
        test_count=entry["test_count"],
        mean=mean,
        std=std,
        crop=source.entry.crop,
        flip=source.entry.flip,
    )


def _normalisation(
    name: str, entry: CatalogEntry, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and std, one value per channel; 0 and 1 where the entry has none."""
    mean, std = entry.normalisation(channels)
    for key, values in (("mean", mean), ("std", std)):
        if len(values) != channels:
            raise UserError(
                f"data set {name!r}: {key!r} has {len(values)} values, but its images have "
                f"{channels} channel{'s' if channels > 1 else ''}; set {key!r}"
            )
    return mean, std

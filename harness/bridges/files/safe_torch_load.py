"""Loads untrusted files of ``torch.save`` and safetensors without running anything they name.

Five walls: an archive may not unpack to more bytes than the file has; its parts must have the
checksums that it states, which torch does not look at; every name in its pickles is read without
unpickling, and must be on a short list; every storage must have the bytes that its pickle claims;
then ``torch.load`` is called with ``weights_only=True``, and with stand-ins for the
names on the list that are not torch's. The same holds for files of before torch 1.6, which are no
archives. Pickles of protocol 3 and 4, which torch can't read so, are rewritten in protocol 2.
"""

from __future__ import annotations

import io
import pickle
import re
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import IO, Any, NamedTuple

import safetensors
import safetensors.torch
import torch

from harness.data.pickle_scan import Name, PickleFacts, scan_pickle, to_protocol_2
from harness.data.pickle_standins import STANDINS
from harness.errors import UserError

ALLOWED = {
    "collections.OrderedDict",
    "torch.Size",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    *STANDINS,
}
STORAGE = re.compile(r"torch\.(\w+Storage|storage\.\w+Storage|b?float\d+|u?int\d+|bool|complex\d+)")
BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    UnpicklingError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
)
"""The exceptions that reading a broken file can raise."""
REMEDY = (
    "if you trust the file, load it where it was made and save the state dict alone: "
    "torch.save(model.state_dict(), ...)"
)


MAGIC = 0x1950A86A20F9469CFC6C
"""The first pickle of a file of torch before 1.6."""
LEGACY_PICKLES = 5
"""Magic number, version, system, content, and the keys of the storages, whose bytes follow."""
IN_ARCHIVE, IN_LEGACY = 5, 6
"""Parts of a storage's persistent id; the last of six is a view, which torch no longer writes."""
ITEMSIZES = {
    **{"Bool": 1, "Byte": 1, "Char": 1, "Untyped": 1, "QInt8": 1, "QUInt8": 1},
    **{"Short": 2, "Half": 2, "BFloat16": 2, "Int": 4, "Float": 4, "QInt32": 4},
    **{"Long": 8, "Double": 8, "ComplexFloat": 8, "ComplexDouble": 16},
}
"""Bytes of a value, by the class of its storage."""
OTHER_FILES = (
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself; run: git lfs pull"),
    (b"<!DOCTYPE", "a web page, not a file of weights; download it again"),
    (b"<html", "a web page, not a file of weights; download it again"),
)
"""What a download may leave instead of a file, by its first bytes."""


def load_file(path: Path) -> Any:
    """Return the content of a file of ``torch.save`` or safetensors, on the CPU.

    Raises:
        UserError: the file is missing, damaged or of another format, would unpack to more than its
            size on disk, or names anything that is not on the list.
    """
    if not path.is_file():
        raise UserError(f"no file {path}")
    try:
        _check_kind(path)
        if path.suffix == ".safetensors" or _begins_as_safetensors(path):
            return safetensors.torch.load_file(path)
        checked = _checked_archive(path) if zipfile.is_zipfile(path) else _checked_legacy(path)
        with torch.serialization.safe_globals([(x, name) for name, x in STANDINS.items()]):
            return torch.load(checked, map_location="cpu", weights_only=True)
    except (*BROKEN, safetensors.SafetensorError) as error:
        text = str(error).rpartition("WeightsUnpickler error: ")[2].strip() or type(error).__name__
        reason = text.splitlines()[0][:200]
        raise UserError(
            f"{path}: damaged, or not a file of torch.save or safetensors ({reason})"
        ) from error


def _check_kind(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise UserError(f"{path}: damaged: an empty file; download it again")
    for start, what in OTHER_FILES:
        if head.lstrip().lower().startswith(start.lower()):
            raise UserError(f"{path}: {what}")


def _begins_as_safetensors(path: Path) -> bool:
    """Tell whether a file begins with the length of a JSON header, and the header."""
    with path.open("rb") as file:
        head = file.read(9)
    return head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size


def _checked_archive(path: Path) -> Path | IO[bytes]:
    """Return what torch may load of an archive: the file, or a copy with a rewritten pickle."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = [x.filename for x in members]
        if any(name.endswith("/constants.pkl") for name in names):
            raise UserError(
                f"{path}: a TorchScript program, which can't be loaded without running it; {REMEDY}"
            )
        compressed = any(x.compress_type != zipfile.ZIP_STORED for x in members)
        if compressed or sum(x.file_size for x in members) > path.stat().st_size:
            raise UserError(
                f"{path}: its archive unpacks to more than the file itself, which torch.save "
                "never writes; it is not read"
            )
        if (changed := archive.testzip()) is not None:
            raise UnpicklingError(f"{changed[:100]} has another checksum; download it again")
        pickles = [name for name in names if name.endswith("data.pkl")]
        if len(pickles) != 1:
            raise UnpicklingError("no data.pkl in it")
        content = archive.read(pickles[0])
        facts = scan_pickle(io.BytesIO(content), len(content))
        _check_names(path, facts)
        sizes = {x.filename: x.file_size for x in members}
        for storage in _storages(facts, IN_ARCHIVE):
            place = f"{pickles[0].removesuffix('data.pkl')}data/{storage.key}"
            if sizes.get(place, -1) < storage.numel * storage.itemsize:
                raise UnpicklingError("a storage with fewer bytes than its pickle claims")
        if not _is_newer(content):
            return path
        copy = io.BytesIO()
        with zipfile.ZipFile(copy, "w") as rewritten:
            for member in members:
                translated = member.filename == pickles[0]
                data = to_protocol_2(content) if translated else archive.read(member)
                rewritten.writestr(member.filename, data)
    copy.seek(0)
    return copy


def _checked_legacy(path: Path) -> Path | IO[bytes]:
    """Likewise for a file of torch before 1.6: five pickles, and the storages behind them."""
    length, pickles, scanned = path.stat().st_size, list[bytes](), list[PickleFacts]()
    with path.open("rb") as file:
        for number in range(LEGACY_PICKLES):
            start = file.tell()
            facts = scan_pickle(file, length)
            end = file.tell()
            file.seek(start)
            pickles.append(file.read(end - start))
            _check_names(path, facts)
            scanned.append(facts)
            if number == 0 and _plain(pickles[0]) != MAGIC:
                raise UnpicklingError("a pickle that torch.save has not written")
        claimed = {str(x.key): x for x in _storages(scanned[3], IN_LEGACY)}
        keys = _plain(pickles[4])
        if not isinstance(keys, list) or {str(x) for x in keys} != set(claimed):
            raise UnpicklingError("other storages than its pickle claims")
        for key in keys:
            count = int.from_bytes(file.read(8), "little")
            if count != claimed[str(key)].numel:
                raise UnpicklingError("a storage of another size than its pickle claims")
            file.seek(count * claimed[str(key)].itemsize, io.SEEK_CUR)
        if file.tell() > length:
            raise UnpicklingError("its end is missing")
        if not any(map(_is_newer, pickles)):
            return path
        file.seek(sum(map(len, pickles)))
        return io.BytesIO(b"".join([*map(to_protocol_2, pickles), file.read()]))


def _check_names(path: Path, facts: PickleFacts) -> None:
    refused = [x for x in sorted(facts.names - ALLOWED) if not STORAGE.fullmatch(x)]
    if refused:
        shown = ", ".join(x[:100] for x in refused[:3])
        raise UserError(f"{path}: refused: its pickle names {shown}; {REMEDY}")


class _Storage(NamedTuple):
    """What a pickle claims of a storage."""

    key: str | int
    numel: int
    itemsize: int


def _storages(facts: PickleFacts, parts: int) -> Sequence[_Storage]:
    """Return the storages that a pickle names; ``parts`` of their ids depend on the format.

    Torch itself believes the sizes in an archive, and leaves storages of older files unset that
    their list of keys leaves out.
    """
    found: dict[str, _Storage] = {}
    for entry in facts.persistent:
        if not isinstance(entry, tuple) or len(entry) != parts or entry[0] != "storage":
            raise UnpicklingError("a storage without a name")
        _, kind, key, _, count = entry[:IN_ARCHIVE]
        if (
            not isinstance(kind, Name)
            or not isinstance(key, str | int)
            or entry[5:] not in ((), (None,))
        ):
            raise UnpicklingError("a storage without a name")
        if type(count) is not int or count < 0:
            raise UnpicklingError("a storage of no size")
        storage = _Storage(key, count, _itemsize(kind))
        if found.setdefault(str(key), storage) != storage:
            raise UnpicklingError("a storage of two sizes")
    return list(found.values())


def _itemsize(kind: Name) -> int:
    """Return the bytes of a value in a class of storages."""
    name = kind.removeprefix("torch.").removeprefix("storage.").removesuffix("Storage")
    if name not in ITEMSIZES:
        raise UnpicklingError(f"a storage of {kind[:100]}")
    return ITEMSIZES[name]


def _is_newer(content: bytes) -> bool:
    """Tell whether a pickle's protocol is newer than what torch reads safely."""
    return content[:1] == b"\x80" and content[1:2] > b"\x02"


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise UnpicklingError(f"a class or function {module}.{name}")


def _plain(content: bytes) -> Any:
    """Return the numbers and strings in a scanned pickle that names nothing."""
    return _PlainUnpickler(io.BytesIO(content)).load()

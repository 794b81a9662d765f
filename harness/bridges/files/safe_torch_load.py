"""Loads untrusted files of ``torch.save`` and safetensors without running anything they name.

Three walls: the archive may not unpack to more bytes than the file has; every name in its pickle is
read without unpickling, and must be on a short list; then ``torch.load`` is called with
``weights_only=True``, and with stand-ins for the names on the list that are not torch's.
"""

from __future__ import annotations

import pickletools
import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import safetensors
import safetensors.torch
import torch

from harness.data.pickle_standins import STANDINS
from harness.errors import UserError

ALLOWED = {
    "collections.OrderedDict",
    "_codecs.encode",
    "torch.Size",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    *STANDINS,
}
STORAGE = re.compile(r"torch\.(\w+Storage|storage\.\w+Storage|b?float\d+|u?int\d+|bool|complex\d+)")
HIDDEN = {"STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4", "NEWOBJ_EX", "PERSID"}
"""Opcodes whose names can't be read without unpickling; ``torch.save`` writes none of them."""
BROKEN = (
    AssertionError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    OSError,
    OverflowError,
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


def load_file(path: Path) -> Any:
    """Return the content of a file of ``torch.save`` or safetensors, on the CPU.

    Raises:
        UserError: the file is missing, damaged or of another format, would unpack to more than its
            size on disk, or names anything that is not on the list.
    """
    if not path.is_file():
        raise UserError(f"no file {path}")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        _check(path)
        with torch.serialization.safe_globals([(x, name) for name, x in STANDINS.items()]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (*BROKEN, safetensors.SafetensorError) as error:
        text = str(error).rpartition("WeightsUnpickler error: ")[2].strip() or type(error).__name__
        reason = text.splitlines()[0]
        raise UserError(
            f"{path}: damaged, or not a file of torch.save or safetensors ({reason})"
        ) from error


def _check(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        raise UnpicklingError(
            "not a zip archive; load and save files of torch before 1.6 with a newer torch"
        )
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        compressed = any(x.compress_type != zipfile.ZIP_STORED for x in members)
        if compressed or sum(x.file_size for x in members) > path.stat().st_size:
            raise UserError(
                f"{path}: its archive unpacks to more than the file itself, which torch.save "
                "never writes; it is not read"
            )
        names = [x.filename for x in members]
        if any(name.endswith("/constants.pkl") for name in names):
            raise UserError(
                f"{path}: a TorchScript program, which can't be loaded without running it; {REMEDY}"
            )
        pickles = [name for name in names if name.endswith("data.pkl")]
        if len(pickles) != 1:
            raise UnpicklingError("no data.pkl in it")
        unlisted = sorted(set(_names_in(archive.read(pickles[0]))) - ALLOWED)
    refused = [name for name in unlisted if not STORAGE.fullmatch(name)]
    if refused:
        raise UserError(f"{path}: refused: its pickle names {', '.join(refused[:3])}; {REMEDY}")


def _names_in(pickle: bytes) -> Iterator[str]:
    """Yield every name in a pickle, without unpickling it."""
    for opcode, argument, _ in pickletools.genops(pickle):
        if opcode.name == "GLOBAL":
            yield str(argument).replace(" ", ".")
        elif opcode.name in HIDDEN:
            yield f"a function by the opcode {opcode.name}"

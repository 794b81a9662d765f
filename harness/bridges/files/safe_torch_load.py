"""Loads the files of ``torch.save`` and safetensors that others wrote. Nothing that they name is ever run.

Three walls: the archive may hold no more bytes than the file has; every name in its pickle is read,
without unpickling, and must be on a short list; then ``torch.load`` is called with
``weights_only=True``, and with stand-ins for what the list allows beside torch's own.
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

from harness.bridges.files.pickle_standins import STANDINS
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
"""Opcodes that name or call what can't be read off; ``torch.save`` writes none of them."""
BROKEN = (
    *(
        UnpicklingError,
        EOFError,
        OSError,
        RuntimeError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
    ),
    *(AttributeError, AssertionError, MemoryError, OverflowError, struct.error, zipfile.BadZipFile),
)
"""What reading a broken file can raise."""
REMEDY = (
    "open it where it was made and where you trust it, and save its state dict alone: "
    "torch.save(model.state_dict(), ...)"
)


def load_file(path: Path) -> Any:
    """Return what a file of ``torch.save`` or safetensors holds, on the CPU.

    Raises:
        UserError: missing, damaged or of another format, larger unpacked than on disk, or naming
            anything that is not on the list.
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
        said = str(error).rpartition("WeightsUnpickler error: ")[2].strip() or type(error).__name__
        what = said.splitlines()[0]
        raise UserError(
            f"{path}: damaged, or no file of torch.save or safetensors ({what})"
        ) from error


def _check(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        raise UnpicklingError("no zip archive; files of torch before 1.6 must be saved anew")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        packed = [x.filename for x in members if x.compress_type != zipfile.ZIP_STORED]
        if packed or sum(x.file_size for x in members) > path.stat().st_size:
            raise UserError(
                f"{path}: its archive unpacks to more than the file itself, which torch.save never writes; "
                "it is not read"
            )
        names = [x.filename for x in members]
        if any(name.endswith("/constants.pkl") for name in names):
            raise UserError(f"{path}: a TorchScript program, which would have to be run; {REMEDY}")
        pickles = [name for name in names if name.endswith("data.pkl")]
        if len(pickles) != 1:
            raise UnpicklingError("no data.pkl in it")
        foreign = sorted(set(_named(archive.read(pickles[0]))) - ALLOWED)
    refused = [name for name in foreign if not STORAGE.fullmatch(name)]
    if refused:
        raise UserError(f"{path}: refused: its pickle asks for {', '.join(refused[:3])}; {REMEDY}")


def _named(pickle: bytes) -> Iterator[str]:
    """Yield every name in a pickle, without unpickling it."""
    for opcode, argument, _ in pickletools.genops(pickle):
        if opcode.name == "GLOBAL":
            yield str(argument).replace(" ", ".")
        elif opcode.name in HIDDEN:
            yield f"something by the opcode {opcode.name}"

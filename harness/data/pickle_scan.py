"""Reads the opcodes of a pickle without unpickling it: its names, its storages, its structure.

What a file can do to an unpickler is bounded here, before any unpickler sees it: every name it
asks for is known, its memo has no more places than the file has bytes (C's unpickler allocates the
highest place at once), and no tuple is nested so deep, or repeats itself so often, that its hash
overflows the stack or never ends.
"""

from __future__ import annotations

import pickle
import pickletools
from collections.abc import Sequence
from pickle import UnpicklingError
from typing import IO, Any, NamedTuple

DEEPEST = 50
"""The deepest nesting of tuples."""
LARGEST = 1 << 20
"""The most values in a tuple, those of its own tuples included."""
LARGEST_KEY = 100
"""Likewise, in a key of a dictionary and in the name of a storage."""

_HIDDEN = {"INST", "OBJ", "EXT1", "EXT2", "EXT4", "NEWOBJ_EX", "PERSID", "BYTEARRAY8"}
_HIDDEN |= {"NEXT_BUFFER", "READONLY_BUFFER", "FROZENSET"}
"""Opcodes that name what can't be read here, or that no file of numbers needs."""
_TUPLES = {"EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
_KEYS = {
    "ADDITEMS": slice(1, None),
    "DICT": slice(None, None, 2),
    "SETITEM": slice(1, 2),
    "SETITEMS": slice(1, None, 2),
}
"""The keys among what an opcode takes."""
_PUTS, _GETS = {"PUT", "BINPUT", "LONG_BINPUT"}, {"GET", "BINGET", "LONG_BINGET"}


class Name(str):
    """The name of a class or a function, ``module.name``, which the pickle asks for."""


class PickleFacts(NamedTuple):
    """What a pickle asks for."""

    names: frozenset[str]
    """Names of classes and functions; ``a function by the opcode X`` for what is not readable."""
    persistent: tuple[Any, ...]
    """Persistent ids: tuples of strings, numbers and Names; None for anything else in them."""


class _Item(NamedTuple):
    """An entry of the unpickler's stack, as far as it matters."""

    value: Any = None
    """A string, a number, a Name, or a tuple of these; else None."""
    size: int = 1
    depth: int = 0


_MARK, _OTHER = _Item("the mark"), _Item()
_CONSTANTS = {
    opcode.name
    for opcode in pickletools.opcodes
    if not opcode.stack_before and len(opcode.stack_after) == 1
} - {"GLOBAL", "MARK", "EMPTY_TUPLE", *_GETS, *_HIDDEN}
_MARKED = {
    opcode.name: opcode.stack_before.index(pickletools.markobject)
    for opcode in pickletools.opcodes
    if pickletools.markobject in opcode.stack_before
}
"""What opcodes take below the mark."""


def scan_pickle(file: IO[bytes], length: int) -> PickleFacts:
    """Return what the pickle at a file's position asks for; leave the position behind its end.

    Args:
        file: an open file.
        length: its size in bytes.

    Raises:
        UnpicklingError: it is no pickle, or one that no unpickler should be given.
        ValueError: likewise.
    """
    scan = _Scan(length)
    for opcode, argument, _ in pickletools.genops(file):
        scan.step(opcode, argument)
    return PickleFacts(frozenset(scan.names), tuple(scan.persistent))


class _Scan:
    """A stack machine that carries sizes and names instead of objects."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.names: set[str] = set()
        self.persistent: list[Any] = []
        self.stack: list[_Item] = []
        self.marks: list[int] = []
        self.memo: dict[int, _Item] = {}

    def step(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        name = opcode.name
        if name in _CONSTANTS:
            self.stack.append(_Item(argument) if isinstance(argument, str | int) else _OTHER)
        elif name in _HIDDEN:
            self.names.add(f"a function by the opcode {name}")
            self._pop(opcode)
            self.stack.append(_Item())
        elif name in _PUTS or name == "MEMOIZE":
            self._put(len(self.memo) if name == "MEMOIZE" else int(argument))
        elif name in _GETS:
            self.stack.append(self._get(int(argument)))
        elif name == "MARK":
            self.marks.append(len(self.stack))
            self.stack.append(_MARK)
        elif name == "DUP":
            self.stack.append(self._top())
        elif opcode.stack_before or opcode.stack_after:
            popped = self._pop(opcode)
            self.stack += [self._result(name, argument, popped) for _ in opcode.stack_after]

    def _put(self, place: int) -> None:
        if not 0 <= place <= self.length:
            raise UnpicklingError(f"its memo has a place {place}")
        self.memo[place] = self._top()

    def _get(self, place: int) -> _Item:
        if place not in self.memo:
            raise UnpicklingError(f"nothing is at {place} in its memo")
        return self.memo[place]

    def _top(self) -> _Item:
        if not self.stack or self.stack[-1] is _MARK:
            raise UnpicklingError("its stack is empty")
        return self.stack[-1]

    def _pop(self, opcode: pickletools.OpcodeInfo) -> list[_Item]:
        """Pop what an opcode takes, and return it in its order on the stack."""
        if opcode.name not in _MARKED:
            return self._pop_items(len(opcode.stack_before))
        if not self.marks:
            raise UnpicklingError("a mark is missing")
        mark = self.marks.pop()
        items = self.stack[mark + 1 :]
        del self.stack[mark:]
        before = self._pop_items(_MARKED[opcode.name])
        return [*before, *items]

    def _pop_items(self, count: int) -> list[_Item]:
        start = len(self.stack) - count
        if start < (self.marks[-1] + 1 if self.marks else 0):
            raise UnpicklingError("its stack is empty")
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def _result(self, name: str, argument: Any, popped: Sequence[_Item]) -> _Item:
        """Return what an opcode leaves on the stack."""
        if name in _TUPLES:
            return _tuple(popped)
        if name == "GLOBAL":
            return self._name(str(argument).replace(" ", "."))
        if name == "STACK_GLOBAL":
            module, attribute = (item.value for item in popped)
            if type(module) is not str or type(attribute) is not str:
                self.names.add("a function by the opcode STACK_GLOBAL")
                return _Item()
            return self._name(f"{module}.{attribute}")
        if name == "BINPERSID":
            _check_key(popped[0])
            self.persistent.append(popped[0].value)
        for key in popped[_KEYS[name]] if name in _KEYS else ():
            _check_key(key)
        return _OTHER

    def _name(self, name: str) -> _Item:
        self.names.add(name)
        return _Item(Name(name))


def _tuple(items: Sequence[_Item]) -> _Item:
    size, depth = 1 + sum(x.size for x in items), 1 + max((x.depth for x in items), default=0)
    if size > LARGEST or depth > DEEPEST:
        raise UnpicklingError("its tuples are nested too deep")
    value = tuple(x.value for x in items) if size <= LARGEST_KEY else None
    return _Item(value, size, depth)


def _check_key(item: _Item) -> None:
    if item.size > LARGEST_KEY:
        raise UnpicklingError("a key is too large")


def to_protocol_2(data: bytes) -> bytes:
    """Return a scanned pickle of protocol 3 or 4 in protocol 2, opcode by opcode.

    Strings are written out wherever they are used, instead of being taken from the memo, so that
    the two strings of a name can be left out when the name is written as one.
    """
    scan, chunks, pushed = _Scan(len(data)), list[bytes](), list[int]()
    operations = list(pickletools.genops(data))
    ends = [position for _, _, position in operations[1:]] + [len(data)]
    for (opcode, argument, start), end in zip(operations, ends, strict=True):
        assert start is not None and end is not None
        if opcode.name == "STACK_GLOBAL":
            for row in pushed[-2:]:
                chunks[row] = b""
        place = len(scan.memo)
        scan.step(opcode, argument)
        top = scan.stack[-1].value if scan.stack else None
        chunks.append(_translated(opcode.name, argument, data[start:end], top, place))
        if opcode.stack_after and opcode.name not in _PUTS | {"MEMOIZE"}:
            del pushed[len(scan.stack) - 1 :]
            pushed.append(len(chunks) - 1)
        else:
            del pushed[len(scan.stack) :]
    return b"".join(chunks)


def _translated(name: str, argument: Any, written: bytes, top: Any, place: int) -> bytes:
    """Return an opcode of protocol 4 in protocol 2; ``top`` is on the stack after it."""
    if name == "FRAME" or (type(top) is str and name in _PUTS | {"MEMOIZE"}):
        return b""
    if name in ("PROTO", "MEMOIZE"):
        return b"\x80\x02" if name == "PROTO" else b"r" + place.to_bytes(4, "little")
    if name == "STACK_GLOBAL":
        module, _, attribute = str(top).rpartition(".")
        return f"c{module}\n{attribute}\n".encode()
    if name == "SHORT_BINUNICODE" or (type(top) is str and name in _GETS):
        text = str(top).encode("utf-8", "surrogatepass")
        return b"X" + len(text).to_bytes(4, "little") + text
    if name in ("SHORT_BINBYTES", "BINBYTES", "BINBYTES8"):
        return pickle.dumps(argument, 2)[2:-1]
    return written

"""Records of BackdoorBench that were damaged, or made by someone who means harm."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import yaml

from harness.study.load import load_study
from tests.bridges.test_images import PICTURES
from tests.bridges.test_read_record import EDITS, edited, folder_instead, loop, pipe
from tests.campaign.outcome import CANARY, Case
from tests.helpers.backdoorbench_records import MODEL, SquaresVictim, write_record
from tests.helpers.hostile_images import png_header
from tests.helpers.imported_studies import first_test_image
from tests.helpers.malicious_pickles import creates_file

GHOSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n"


def good_record(squares: SquaresVictim, folder: Path) -> Path:
    """Write a record in order; the cases break copies of it."""
    return write_record(squares, folder / "record" / "badnet", key=int)


def cases(squares: SquaresVictim, good: Path) -> Iterator[Case]:
    """Yield the cases."""
    attempt = partial(_attempt, squares, good)
    for what, (edit, _) in EDITS.items():
        yield Case(f"record: {what}", partial(attempt, partial(_edit, edit)))
    for what, (change, _) in PICTURES.items():
        yield Case(f"record: an image {what}", partial(attempt, partial(_image, change)))
    for what, content in {
        "of 60000x60000": png_header(60_000, 60_000),
        "of 9000x9000": png_header(9_000, 9_000),
        "that is PostScript": GHOSTSCRIPT,
        "that is empty": b"",
    }.items():
        change = partial(_write, content)
        yield Case(f"record: an image {what}", partial(attempt, partial(_image, change)))
    for change in (pipe, loop, folder_instead, os.unlink):
        name = change.__name__
        yield Case(f"record: {name} for an image", partial(attempt, partial(_image, change)))
        yield Case(f"record: {name} for its result", partial(attempt, partial(_result, change)))
    yield Case("record: code in it", partial(attempt, _code))
    yield Case("record: its result is cut", partial(attempt, partial(_result, _cut)))
    yield Case(
        "record: code in info.pickle, which is not read", partial(attempt, _code_beside), True
    )


def _attempt(
    squares: SquaresVictim, good: Path, change: Callable[[Path], object], folder: Path
) -> None:
    copy = folder / "record" / "broken"
    shutil.copytree(good, copy)
    change(copy)
    entry = {"backdoorbench": "record/broken", "data": squares.entry, "model": MODEL}
    content = {"victims": [entry], "defenses": ["none"], "budgets": [{"spc": 2}], "seeds": [0]}
    (folder / "study.yaml").write_text(yaml.safe_dump(content))
    load_study(folder / "study.yaml")


def _edit(edit: Callable[[dict], object], folder: Path) -> None:
    edited(folder, edit)


def _image(change: Callable[[Path], object], folder: Path) -> None:
    change(first_test_image(folder))


def _result(change: Callable[[Path], object], folder: Path) -> None:
    change(folder / "attack_result.pt")


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _code(folder: Path) -> None:
    bad = creates_file(folder.parents[1] / CANARY)
    edited(folder, lambda content: content.update(bd_train=bad))


def _code_beside(folder: Path) -> None:
    import torch

    torch.save(creates_file(folder.parents[1] / CANARY), folder / "info.pickle")

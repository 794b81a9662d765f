"""Studies of imported victims: written, run, and refused."""

import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

from harness.data.cache import default_cache
from harness.errors import UserError
from harness.study.load import load_study
from tests.helpers import tiny_study
from tests.helpers.backdoorbench_records import MODEL


def write_study(folder, victims, **more):
    """Write a study of imported victims, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "defenses": ["none"],
        "budgets": [{"spc": 2}],
        "seeds": [0],
        "victims": victims,
        "gate": {"acc": 0.0, "run": "all"},
        **more,
    }
    path = folder / "imported.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def record_entry(squares, folder, **more):
    return {"backdoorbench": str(folder), "data": squares.entry, "model": MODEL, **more}


def run_victim(path, out):
    """Run a study of one victim, and return the result of the victim's record."""
    latest = tiny_study.run(path, out)
    (record,) = [x for x in latest.values() if x.kind == "victim"]
    assert record.status == "ok", record.error
    cells = [x for x in latest.values() if x.kind == "cell"]
    assert {x.status for x in cells} == {"ok"}, [x.error for x in cells]
    return record.result


def scores(result):
    return {name: getattr(result, name) for name in ("acc", "asr", "ra")}


def refused(tmp_path, entry, **more):
    with pytest.raises(UserError) as caught:
        load_study(write_study(tmp_path, [entry], **more), None, default_cache())
    return str(caught.value)


def refuse_broken(squares, good, folder, change):
    """Break a copy of the good record; return the message of a study with it."""
    copy = folder / "record" / "broken"
    shutil.copytree(good, copy)
    change(copy)
    study = folder / "study.yaml"
    entry = {"backdoorbench": "record/broken", "data": squares.entry, "model": MODEL}
    content = {
        "victims": [entry],
        "defenses": ["none"],
        "budgets": [{"spc": 2}],
        "seeds": [0],
        "gate": {"acc": 0.0, "run": "all"},
    }
    study.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError) as caught:
        load_study(study, None, default_cache())
    message = str(caught.value)
    assert message.startswith(f"{study}:")
    assert "\n" not in message
    return message


def first_test_image(folder):
    return sorted((folder / "bd_test_dataset").rglob("*.png"))[0]


def write_black(path, size, kind="PNG"):
    Image.fromarray(np.zeros((*size, 3), np.uint8)).save(path, kind)

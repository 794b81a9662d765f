"""Malicious and broken files: each refused in one line that says why, and nothing of theirs is ever run."""

import io
import pickle
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from harness.bridges.files.safe_torch_load import load_file
from harness.data.cache import default_cache
from harness.errors import UserError
from harness.execution.run_task import run_task
from harness.execution.schedule import Schedule
from harness.execution.selection import Selection
from harness.store.record_files import LatestRecords
from harness.store.store import Store
from harness.study.load import load_study
from harness.training.session import WorkerSession
from tests.helpers import backdoorbench_records, tiny_study
from tests.helpers.backdoorbench_records import MODEL, TARGET, write_record


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return backdoorbench_records.make_world(tmp_path_factory.getbasetemp() / "squares")


@pytest.fixture(scope="module")
def good(world, tmp_path_factory):
    """A record in order; tests break copies of it."""
    return write_record(world, tmp_path_factory.mktemp("record") / "badnet", key=int)


class Runs:
    """Pickled, it asks for a function to be called on arguments when it is loaded."""

    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


def touch(path):
    """Return an object that makes a file when it is unpickled by ``pickle`` itself."""
    return Runs(exec, f"open({str(path)!r}, 'w').close()")


def archive(path, content, *, compression=zipfile.ZIP_STORED, name="archive/data.pkl"):
    """Write the zip file that ``torch.save`` would, with any bytes as its pickle."""
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr(name, content)
        file.writestr("archive/version", "3\n")


def refusal(path):
    with pytest.raises(UserError) as caught:
        load_file(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


# What is refused by name


def test_the_canary_sings_when_pickle_itself_loads_it(tmp_path):
    pickle.loads(pickle.dumps(touch(tmp_path / "canary"), protocol=2))
    assert (tmp_path / "canary").exists()


NESTED = {
    "alone": lambda bad: bad,
    "beside weights": lambda bad: {"model": {"conv1.weight": torch.zeros(1)}, "extra": bad},
    "in a list": lambda bad: [[[bad]]],
    "as a key": lambda bad: {"bd_test": {(bad,): 1}},
}


@pytest.mark.parametrize("where", NESTED.values(), ids=NESTED)
def test_code_is_refused_by_name_wherever_it_hides(tmp_path, where):
    path, canary = tmp_path / "bad.pt", tmp_path / "canary"
    torch.save(where(touch(canary)), path)
    said = refusal(path)
    assert "refused: its pickle names __builtin__.exec;" in said
    assert "torch.save(model.state_dict(), ...)" in said
    assert not canary.exists()


FOREIGN = {
    "os.system": b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.",
    "posix.system": b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.",
    "subprocess.Popen": b"\x80\x02csubprocess\nPopen\nX\x04\x00\x00\x00true\x85R.",
    "builtins.getattr": b"\x80\x02cbuiltins\ngetattr\n.",
    "torch.hub.load": b"\x80\x02ctorch.hub\nload\n.",
    "torch.storage._load_from_bytes": b"\x80\x02ctorch.storage\n_load_from_bytes\n.",
    "numpy.load": b"\x80\x02cnumpy\nload\n.",
    "numpy.core.multiarray.fromfile": b"\x80\x02cnumpy.core.multiarray\nfromfile\n.",
    "PIL.Image.open": b"\x80\x02cPIL.Image\nopen\n.",
    "argparse.Namespace": b"\x80\x02cargparse\nNamespace\n)\x81.",
    "builtins.bytearray": b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
    "the opcode STACK_GLOBAL": pickle.dumps(Path, protocol=4),
    "the opcode INST": b"(S'true'\nios\nsystem\n.",
    "the opcode EXT1": b"\x80\x02\x82\x01.",
}


@pytest.mark.parametrize(("said", "content"), FOREIGN.items(), ids=FOREIGN)
def test_every_other_name_is_refused(tmp_path, said, content):
    archive(tmp_path / "bad.pth", content)
    assert said in refusal(tmp_path / "bad.pth")


# What is broken


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    archive(
        tmp_path / "bomb.pt",
        b"\x80\x02]" + b"N" * 50_000_000 + b".",
        compression=zipfile.ZIP_DEFLATED,
    )
    assert (tmp_path / "bomb.pt").stat().st_size < 100_000
    assert "unpacks to more than the file itself" in refusal(tmp_path / "bomb.pt")


def test_an_archive_whose_parts_share_their_bytes_is_not_read(tmp_path):
    path = tmp_path / "quine.pt"
    archive(path, b"\x80\x02N.")
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<II", 4, 4), struct.pack("<II", 1 << 30, 1 << 30)))
    assert "unpacks to more than the file itself" in refusal(path)


def test_truncated_at_every_length(good, tmp_path):
    data = (good / "attack_result.pt").read_bytes()
    for share in (0, 1, 100, len(data) // 2, len(data) - 30, len(data) - 1):
        (tmp_path / "cut.pt").write_bytes(data[:share])
        assert "damaged" in refusal(tmp_path / "cut.pt")


def test_other_formats(tmp_path):
    path = tmp_path / "old.pt"
    torch.save({"a": torch.zeros(1)}, path, _use_new_zipfile_serialization=False)
    assert "load and save files of torch before 1.6 with a newer torch" in refusal(path)
    path.write_bytes(pickle.dumps(touch(tmp_path / "canary")))
    assert "not a zip archive" in refusal(path)
    archive(path, b"\x80\x02N.", name="archive/other.pkl")
    assert "no data.pkl in it" in refusal(path)
    with zipfile.ZipFile(path, "w") as file:
        for name in ("archive/data.pkl", "archive/constants.pkl"):
            file.writestr(name, b"\x80\x02N.")
    assert "a TorchScript program, which can't be loaded without running it" in refusal(path)
    (tmp_path / "bad.safetensors").write_bytes(struct.pack("<Q", 1 << 40) + b"{}")
    assert "damaged" in refusal(tmp_path / "bad.safetensors")
    assert "no file" in refusal(tmp_path / "none.pt")
    assert not (tmp_path / "canary").exists()


def pickled(array_state, code="u1"):
    """Return a pickle of numpy's own layout for an array, with any state."""
    out = io.BytesIO()
    out.write(
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85X\x01\x00\x00\x00b\x87R(K\x01"
    )
    out.write(pickle.dumps(array_state[0], protocol=2)[2:-1].replace(b"q\x00", b""))
    out.write(
        b"cnumpy\ndtype\nX" + struct.pack("<I", len(code)) + code.encode() + b"K\x00K\x01\x87R\x89"
    )
    out.write(b"c_codecs\nencode\nX\x03\x00\x00\x00abcX\x06\x00\x00\x00latin1\x86Rtb.")
    return out.getvalue()


def test_arrays_that_lie_or_hold_objects(tmp_path):
    path = tmp_path / "array.pt"
    archive(path, pickled([(3,)]))
    assert load_file(path).values.tolist() == [97, 98, 99]
    archive(path, pickled([(1 << 30,)]))
    assert "an array whose size does not match its shape" in refusal(path)
    archive(path, pickled([(3,)], code="O8"))
    assert "an array of 'O8', which are not numbers" in refusal(path)
    archive(path, pickled([(3,)], code="V1000000000"))
    assert "which are not numbers" in refusal(path)
    archive(
        path, b"\x80\x02cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85R."
    )  # no allocation by its own call
    assert "damaged" in refusal(path)


# Records that are not in order


def broken(world, good, folder, change):
    """Break a copy of the good record, and return what a study of it says."""
    copy = folder / "record" / "broken"
    shutil.copytree(good, copy)
    change(copy)
    study = folder / "study.yaml"
    entry = {"backdoorbench": "record/broken", "data": world.entry, "model": MODEL}
    content = {"victims": [entry], "defenses": ["none"], "budgets": [{"spc": 2}], "seeds": [0]}
    study.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError) as caught:
        load_study(study, None, default_cache())
    said = str(caught.value)
    assert said.startswith(f"{study}:")
    assert "\n" not in said
    return said


def edited(folder, edit):
    """Change the content of a record's result."""
    path = folder / "attack_result.pt"
    with torch.serialization.safe_globals([]):
        content = torch.load(path, weights_only=False)
    edit(content)
    torch.save(content, path)


def a_picture(folder):
    return sorted((folder / "bd_test_dataset").rglob("*.png"))[0]


def set_label(content, wanted, original=0):
    entries = content["bd_test"]["bd_data_container"]["data_dict"]
    next(iter(entries.values()))["other_info"][:] = [wanted, original]


def set_path(content, path):
    entries = content["bd_test"]["bd_data_container"]["data_dict"]
    next(iter(entries.values()))["path"] = path


def move_index(content):
    """Let the test set point beyond the data set's end."""
    test = content["bd_test"]
    entries = test["bd_data_container"]["data_dict"]
    entries[99] = entries.pop(next(iter(entries)))
    test["poison_indicator"] = np.zeros(100)
    test["poison_indicator"][list(entries)] = 1
    test["original_index_array"] = np.array(sorted(entries))


def beyond_indicator(content):
    content["bd_test"]["original_index_array"] = np.array([5000])


def no_test_images(content):
    content["bd_test"]["poison_indicator"][:] = 0


def reshaped(content):
    content["model"]["linear.weight"] = torch.zeros(7, 7)


def renamed(content):
    content["model"]["linear.wait"] = content["model"].pop("linear.weight")


EDITS = {
    "no result of an attack": (
        lambda x: x.pop("bd_test"),
        "not an attack result of BackdoorBench: bd_test missing",
    ),
    "wrong shape": (reshaped, "mis-shaped linear.weight (7, 7), not (3, 32)"),
    "wrong name": (renamed, "missing linear.weight; unexpected linear.wait"),
    "weights missing": (lambda x: x.update(model={}), "no state dict in it"),
    "index beyond the data": (
        move_index,
        "an index out of range: 1 to 99, but squares has 36 test images",
    ),
    "index beyond its own": (beyond_indicator, "an index out of range: 5000 to 5000 of 36 samples"),
    "an entry missing": (
        lambda x: x["bd_test"]["bd_data_container"]["data_dict"].clear(),
        "not in BackdoorBench's format (KeyError: 0)",
    ),
    "no test images": (no_test_images, "no triggered test image with a changed label"),
    "labels of another set": (
        lambda x: set_label(x, TARGET, 2),
        "1 of its 24 test images have other labels than squares at the same index",
    ),
    "no one target": (
        lambda x: set_label(x, 2),
        "the target labels are neither one class nor, for each class, the next",
    ),
    "other classes": (lambda x: x.update(num_classes=10), "10 classes of images [3, 8, 8]"),
    "a path out of the record": (
        lambda x: set_path(x, "./record/../../../../etc/passwd"),
        "does not end as <set>/<label>/<index>.png",
    ),
    "a path that climbs": (
        lambda x: set_path(x, "x/../secret.png"),
        "does not end as <set>/<label>/<index>.png",
    ),
    "sizes that are none": (
        lambda x: x.update(img_size="large"),
        "not in BackdoorBench's format",
    ),
}


@pytest.mark.parametrize(("edit", "said"), EDITS.values(), ids=EDITS)
def test_a_record_with_a_fault_is_refused_in_one_line(world, good, tmp_path, edit, said):
    assert said in broken(world, good, tmp_path, lambda folder: edited(folder, edit))


def test_code_in_a_record_is_refused_at_planning(world, good, tmp_path):
    canary = tmp_path / "canary"
    said = broken(
        world,
        good,
        tmp_path,
        lambda folder: edited(folder, lambda x: x.update(bd_train=touch(canary))),
    )
    assert "refused: its pickle names __builtin__.exec" in said
    assert not canary.exists()


def save(path, size, kind="PNG"):
    Image.fromarray(np.zeros((*size, 3), np.uint8)).save(path, kind)


PICTURES = {
    "missing": (lambda path: path.unlink(), "which the record names"),
    "of another size": (lambda path: save(path, (9, 7)), "7x9 pixels, but the data set has 8x8"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:60]), "not a complete PNG file"),
    "of another format": (lambda path: save(path, (8, 8), "JPEG"), "not a complete PNG file"),
    "grey": (
        lambda path: Image.fromarray(np.zeros((8, 8), np.uint8)).save(path),
        "8x8 pixels of 1 channels, but the data set has 8x8 of 3",
    ),
}


@pytest.mark.parametrize(("change", "said"), PICTURES.values(), ids=PICTURES)
def test_a_picture_with_a_fault_is_named(world, good, tmp_path, change, said):
    shown = broken(world, good, tmp_path, lambda folder: change(a_picture(folder)))
    assert said in shown
    assert "bd_test_dataset" in shown


def test_files_that_change_after_planning_are_an_error_of_the_victim(world, good, tmp_path):
    shutil.copytree(good, tmp_path / "record" / "badnet")
    study = tmp_path / "study.yaml"
    entry = {"backdoorbench": "record/badnet", "data": world.entry, "model": MODEL}
    content = {"victims": [entry], "defenses": ["none"], "budgets": [{"spc": 2}], "seeds": [0]}
    study.write_text(yaml.safe_dump(content))
    plan = load_study(study, None, default_cache())
    task = Schedule(plan, LatestRecords(), Selection()).next(None)
    save(a_picture(tmp_path / "record" / "badnet"), (8, 8))
    (record,) = run_task(task, WorkerSession(Store(tmp_path / "store"), torch.device("cpu")))
    assert record["status"] == "error"
    assert record["error"].endswith("badnet: has changed since the study was read")
    assert {x["status"] for x in tiny_study.run(study, tmp_path / "out").values()} == {"ok"}

"""Malicious and broken files are refused in one line, and nothing in them is run."""

import io
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch

from harness.bridges.files.safe_torch_load import load_file
from harness.errors import UserError
from tests.helpers.malicious_pickles import creates_file


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


def test_the_canary_sings_when_pickle_itself_loads_it(tmp_path):
    pickle.loads(pickle.dumps(creates_file(tmp_path / "canary"), protocol=2))
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
    torch.save(where(creates_file(canary)), path)
    message = refusal(path)
    assert "refused: its pickle names __builtin__.exec;" in message
    assert "torch.save(model.state_dict(), ...)" in message
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


@pytest.mark.parametrize(("message", "content"), FOREIGN.items(), ids=FOREIGN)
def test_every_other_name_is_refused(tmp_path, message, content):
    archive(tmp_path / "bad.pth", content)
    assert message in refusal(tmp_path / "bad.pth")


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
    path.write_bytes(pickle.dumps(creates_file(tmp_path / "canary")))
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

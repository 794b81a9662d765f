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
from tests.helpers.backdoorbench_records import rewrite
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
    "pathlib.Path": pickle.dumps(Path, protocol=4),
    "the opcode STACK_GLOBAL": b"\x80\x04]]\x93.",
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
    path.write_bytes(pickle.dumps(creates_file(tmp_path / "canary")))
    assert "refused: its pickle names builtins.exec" in refusal(path)
    path.write_bytes(pickle.dumps([1, 2]))
    assert "a pickle that torch.save has not written" in refusal(path)
    path.write_bytes(b"")
    assert "damaged: an empty file" in refusal(path)
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n")
    assert "a pointer of Git LFS, not the file itself; run: git lfs pull" in refusal(path)
    path.write_bytes(b"<!doctype html>\n<p>Sign in</p>\n")
    assert "a web page" in refusal(path)
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


CONTENTS = {
    "weights": {"conv.weight": torch.arange(6.0).view(2, 3), "n": torch.tensor(3)},
    "views of one storage": {"a": (whole := torch.arange(8.0))[2:5], "b": whole[::2]},
    "wrapped": {"state_dict": {"w": torch.ones(2, dtype=torch.bfloat16)}, "lr": 0.1, "by": b"\xff"},
    "parameters": {"w": torch.nn.Parameter(torch.ones(2)), "w.weight": torch.ones(0)},
    "names twice": {"torch": torch.ones(1), "FloatStorage": ["torch", "torch._utils"]},
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("archive", [True, False])
def test_every_format_of_torch_is_read(tmp_path, content, protocol, archive):
    path = tmp_path / "file.pth"
    torch.save(
        content,
        path,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=archive,
    )
    assert_equal(load_file(path), content)


def assert_equal(read, content):
    assert type(read) is type(content)
    if isinstance(content, dict):
        assert list(read) == list(content)
        for name, x in content.items():
            assert_equal(read[name], x)
    elif isinstance(content, torch.Tensor):
        assert read.dtype == content.dtype
        assert torch.equal(read, content)
    else:
        assert read == content


def legacy(path, content):
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path.read_bytes()


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("where", NESTED.values(), ids=NESTED)
def test_code_in_an_old_file_is_refused_by_name(tmp_path, where, protocol):
    path, canary = tmp_path / "bad.pt", tmp_path / "canary"
    content = where(creates_file(canary))
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    assert "refused: its pickle names " in refusal(path)
    assert not canary.exists()


def test_code_in_any_pickle_of_an_old_file_is_refused(tmp_path):
    path, canary = tmp_path / "bad.pt", tmp_path / "canary"
    bad = pickle.dumps(creates_file(canary), 2)
    good = [pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {}, {}, [])]
    for place in range(5):
        path.write_bytes(b"".join([*good[:place], bad, *good[place + 1 :]]))
        assert "refused: its pickle names __builtin__.exec" in refusal(path)
    assert not canary.exists()


def test_old_files_truncated_at_every_length(tmp_path):
    path = tmp_path / "cut.pt"
    data = legacy(path, {"w": torch.arange(4.0), "n": torch.tensor(1)})
    for size in range(1, len(data)):
        path.write_bytes(data[:size])
        assert "damaged" in refusal(path)


def test_storages_of_an_old_file_that_lie(tmp_path):
    path = tmp_path / "lie.pt"
    data = legacy(path, {"w": torch.arange(300.0)})
    path.write_bytes(data[:-1208] + struct.pack("<q", 10**9) + data[-1200:])
    assert "a storage of another size than its pickle claims" in refusal(path)
    path.write_bytes(data.replace(b"M,\x01", b"J\xff\xff\xff\x7f", 1))
    assert "damaged" in refusal(path)
    start = data.rindex(b"\x80\x02]")
    path.write_bytes(data[:start] + b"\x80\x02].")
    assert "other storages than its pickle claims" in refusal(path)


def test_a_storage_of_an_archive_that_lies(tmp_path):
    """Torch would read beyond the end of its bytes."""
    path = tmp_path / "lie.pt"
    torch.save({"w": torch.arange(300.0)}, path)
    rewrite(path, b"M,\x01", b"J\xff\xff\xff\x7f")
    assert "a storage with fewer bytes than its pickle claims" in refusal(path)


@pytest.mark.parametrize("old", [True, False])
def test_pickles_that_would_crash_an_unpickler(tmp_path, old):
    path = tmp_path / "bad.pt"
    for key in (b"\x85" * 200_000, b"q\x00h\x00\x86" * 60):
        content = b"\x80\x02})" + key + b"Ns."
        if old:
            parts = [pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {})]
            path.write_bytes(b"".join(parts) + content + pickle.dumps([], 2))
        else:
            archive(path, content)
        assert "damaged" in refusal(path)


def test_a_changed_byte_of_the_weights_is_found(tmp_path):
    path, weights = tmp_path / "bad.pt", torch.arange(1000.0)
    torch.save({"w": weights}, path)
    data = bytearray(path.read_bytes())
    data[data.find(weights.numpy().tobytes()) + 400] ^= 1
    path.write_bytes(data)
    assert "bad/data/0 has another checksum; download it again" in refusal(path)


def test_safetensors_are_read_whatever_the_file_is_called(tmp_path):
    header = b'{"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}'
    content = struct.pack("<Q", len(header)) + header + struct.pack("<fff", 0, 1, 2)
    (tmp_path / "weights.pth").write_bytes(content)
    assert load_file(tmp_path / "weights.pth")["w"].tolist() == [0, 1, 2]


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_a_torchscript_program_is_named(tmp_path):
    torch.jit.script(torch.nn.Sequential(torch.nn.Linear(2, 2))).save(tmp_path / "program.pt")
    assert "a TorchScript program" in refusal(tmp_path / "program.pt")


def test_bytes_of_an_unknown_encoding(tmp_path):
    path = tmp_path / "bad.pt"
    archive(path, b"\x80\x02c_codecs\nencode\nX\x01\0\0\0aX\x04\0\0\0nine\x86R.")
    assert "damaged" in refusal(path)

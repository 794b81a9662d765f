"""Studies that no user means: refused in one line each, with its place, and within seconds."""

import os
import time

import pytest
import yaml

from harness.errors import UserError
from harness.study.load import load_study
from tests.helpers import tiny_study


def faults(tmp_path, text="", **changes) -> list[str]:
    """Return the lines that refuse the small study, with a text in place of the keys it gives."""
    replaced = {line.partition(":")[0]: None for line in text.splitlines() if line[:1].isalpha()}
    study = {key: x for key, x in {**tiny_study.SMALL, **changes}.items() if key not in replaced}
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False) + text, encoding="utf-8")
    start = time.process_time()
    with pytest.raises(UserError) as error:
        tiny_study.load(path)
    assert time.process_time() - start < 5
    lines = str(error.value).splitlines()
    assert all(line.startswith(f"{path}:") for line in lines), lines
    return [line.removeprefix(f"{path}:") for line in lines]


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("rates: [.inf]", "rates[0]", "a finite number is needed, not inf"),
        ("gate: {asr: .nan}", "gate.asr", "a finite number is needed, not nan"),
        ('timeout: "inf"', "timeout", "a finite number is needed, not inf"),
        ("recipe: {fast: {lr: .inf}}", "recipe.fast.lr", "a finite number is needed, not inf"),
        ("budgets: [{ratio: .nan}]", "budgets[0].ratio", "a finite number is needed, not nan"),
        (
            "attacks: [{badnets: {size: 3, margin: 6}}]",
            "attacks[0]",
            "a patch of 3 with margin 6 is larger than 8x8",
        ),
        ("seeds: [2026-01-01]", "seeds[0]", "should be a valid integer"),
        ("seeds: [!!int abc]", "not YAML", "no int of at most 4,300 digits"),
        (f"seeds: [{'9' * 5000}]", "not YAML", "no int of at most 4,300 digits"),
        ("seeds: [18446744073709551616]", "seeds[0]", "a whole number of at most 64 bits"),
        ('seeds: ["18446744073709551616"]', "seeds[0]", "a whole number of at most 64 bits"),
        ("seeds: [010]", "not YAML", "010 is 8 in YAML; write that, or put a text in quotes"),
        ("timeout: 1:30", "not YAML", "1:30 is 90 in YAML; write that, or put a text in quotes"),
        ("seeds: [true]", "seeds[0]", "a number is needed, not true"),
        ("budgets: [{spc: true}]", "budgets[0].spc", "a number is needed, not true"),
        ("defenses: [{ft: {lr: true}}]", "defenses[0].ft.lr", "a number is needed, not true"),
        ("seeds: &a [*a]", "not YAML", "an alias of a value inside itself"),
        ("seeds: " + "[" * 3000 + "]" * 3000, "not YAML", "more than 50 lists and mappings"),
        ("seeds: [" + "1," * 100_000 + "1]", "not YAML", "more than 50,000 values"),
        ("1: 2", "", "a key is a text, not 1; put it in quotes"),
        ('name: "a\\0b"', "name", "a text without NUL"),
        ("gate: {asrr: 0.5}", "gate.asrr", "did you mean 'asr'?"),
        ("skip: [{defnse: ft, reason: x}]", "skip[0].defnse", "did you mean 'defense'?"),
        ("target: all-to-al", "target", "did you mean 'all-to-all'?"),
        ("defenses: [{backdorbench: {}}]", "defenses[0]", "did you mean 'backdoorbench'?"),
        ("victims: [{backdorbench: x}]", "victims[0]", "did you mean 'backdoorbench'?"),
        ("recipe: {fast: {schedule: cosin}}", "recipe.fast.schedule", "did you mean 'cosine'?"),
        ("data: [{mine: {path: ~nouser/x}}]", "data[0].mine", "no such user: '~nouser/x'"),
        ("defenses: [~nouser/x.py]", "defenses[0]", "no such user: '~nouser/x.py'"),
        (f"figures: [./{'y' * 300}.py]", "figures[0]", "no file"),
        (f"defenses: [./{'y' * 300}.py]", "defenses[0]", "no file"),
        (f"data: [{{mine: {{path: {'y' * 300}}}}}]", "data[0]", "name too long"),
        ("defenses: [loop.py]", "defenses[0]", "loop"),
    ],
)
def test_one_line_with_its_place(tmp_path, text, place, reason):
    (tmp_path / "loop.py").symlink_to("loop.py")
    lines = faults(tmp_path, text)
    assert len(lines) == 1, lines
    assert f": {place}" in lines[0]
    assert reason.lower() in lines[0].lower()


def test_an_alias_bomb_is_not_expanded(tmp_path):
    levels = [f"  - &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    (line,) = faults(tmp_path, "\n".join(["skip:", "  - &a0 [x, x]", *levels]))
    assert "more than 50,000 values" in line


def test_aliases_that_repeat_an_entry_stay_valid(tmp_path):
    path = tiny_study.write_study(tmp_path)
    path.write_text(path.read_text() + "rates: &g [0.5]\nskip: []\nname: 2026-01-01\n")
    assert tiny_study.load(path).name == "2026-01-01", "a date is a text"


def test_a_file_of_10_mb_and_one_that_is_no_file(tmp_path):
    (line,) = faults(tmp_path, "skip: [" + "1, " * 3_500_000 + "1]")
    assert "longer than 500,000 bytes" in line
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(UserError, match=r"pipe.yaml: not a regular file"):
        load_study(tmp_path / "pipe.yaml")


def test_20000_seeds_take_seconds(tmp_path):
    start = time.process_time()
    changes = {"attacks": ["none", "badnets"], "defenses": ["none"], "seeds": list(range(20_000))}
    assert len(tiny_study.load(tiny_study.write_study(tmp_path, **changes)).cells) == 40_000
    assert time.process_time() - start < 30, "quadratic took minutes"
    lines = faults(tmp_path, seeds=[1] * 20_000)
    assert len(lines) == 101
    assert lines[-1] == " 19,899 more faults"
    (line,) = faults(tmp_path, seeds=list(range(15_000)), rates=[i / 100 for i in range(1, 9)])
    assert "240,000 cells; a study has at most 200,000" in line


def test_a_fault_in_a_required_key_hides_no_other(tmp_path):
    lines = faults(
        tmp_path,
        seeds=[-1],
        budgets="many",
        attacks=["badnet", "sig"],
        target=50,
        models=["vgg"],
        gate={"asrr": 1},
    )
    keys = {line.split(": ")[1].partition("[")[0].partition(".")[0] for line in lines}
    assert keys == {"seeds", "budgets", "attacks", "target", "models", "gate"}
    lines = faults(tmp_path, defenses=[], attacks=["sig"], rates=[0.5])
    assert [line.split(": ")[1] for line in lines] == ["defenses", "attacks[0]"]


@pytest.mark.parametrize("name", ["../../evil", "/abs", "store", "", ".hidden", "x" * 300, "a\nb"])
def test_a_name_that_is_no_folder_of_its_own(tmp_path, name):
    (line,) = faults(tmp_path, name=name)
    assert ": name: " in line


@pytest.mark.parametrize("name", ["IMS, table 3 (small)", "a_b-c.2", "Größe 5", "1+2"])
def test_names_that_stay_valid(tmp_path, name):
    assert tiny_study.load(tiny_study.write_study(tmp_path, name=name)).name == name


def test_a_file_name_that_is_no_name_of_a_study(tmp_path):
    path = tiny_study.write_study(tmp_path).rename(tmp_path / "store.yaml")
    with pytest.raises(UserError, match="unless it has the key 'name': 'store' is a folder"):
        tiny_study.load(path)


def test_a_test_split_of_the_target_class_alone(tmp_path):
    from PIL import Image

    for split, classes in {"train": "ab", "test": "ab"}.items():
        for name in classes:
            for i in range(4):
                image = tmp_path / "own" / split / name / f"{i}.png"
                image.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 8), (60 * i, 9, 200 if name == "a" else 5)).save(image)
    data = [{"mine": {"path": "own"}}]
    assert tiny_study.load(tiny_study.write_study(tmp_path, data=data))
    for image in (tmp_path / "own" / "test" / "b").iterdir():
        image.unlink()
    Image.new("RGB", (8, 8)).save(tmp_path / "own" / "test" / "a" / "9.png")
    (line,) = faults(tmp_path, data=data)
    assert "all test images of mine are of class 0" in line or "has no" in line

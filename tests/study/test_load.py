"""A study file is validated whole: every fault at once, with its location and a valid name."""

from dataclasses import replace

import pytest

from harness.errors import UserError
from tests.helpers import tiny_study


def faults(tmp_path, **changes) -> list[str]:
    with pytest.raises(UserError) as error:
        tiny_study.load(tiny_study.write_study(tmp_path, **changes))
    return [line.replace(f"{tmp_path}/", "") for line in str(error.value).splitlines()]


def test_lists_multiply(tmp_path):
    study = tiny_study.load(
        tiny_study.write_study(
            tmp_path,
            models=[{"preactresnet18": {"width": 2}}, {"preactresnet18": {"width": 3}}],
            attacks=["badnets", "blended"],
            rates=[0.05, 0.1],
            budgets=[{"spc": 2}, {"ratio": 0.05}],
            seeds=[0, 1, 2],
        )
    )
    assert len(study.cells) == 2 * 2 * 2 * 2 * 3 * 2
    assert len(study.victims()) == 2 * 2 * 2 * 3
    assert {cell.victim.model.label for cell in study.cells} == {
        "preactresnet18 (width=2)",
        "preactresnet18 (width=3)",
    }


def test_lists_among_the_settings_of_a_method_multiply(tmp_path):
    entries = [
        "none",
        {"ims": {"k": [5, 10], "sparsity": [1, 3]}},
        {"nad": {"milestones": [5, 10]}},
        {"rnp": {"unlearn_milestones": [[5], [5, 10]]}},
        {"i_bau": {"preset": ["comparison", "authors"]}},
    ]
    study = tiny_study.load(
        tiny_study.write_study(
            tmp_path,
            defenses=entries,
            attacks=[{"blended": {"alpha": [0.1, 0.2], "rates": [0.05, 0.1]}}],
        )
    )
    assert len(study.victims()) == 4
    assert list(dict.fromkeys(cell.defense.label for cell in study.cells)) == [
        "none",
        *(f"ims (k={k}, sparsity={x})" for k in (5, 10) for x in (1, 3)),
        "nad",
        "rnp (unlearn_milestones=[5])",
        "rnp (unlearn_milestones=[5,10])",
        "i_bau",
        "i_bau (authors)",
    ]


def test_a_fault_in_a_list_of_settings_has_its_place_in_the_file(tmp_path):
    entries = [
        "none",
        {"ims": {"k": [5, -1]}},
        {"anp": {"epz": [1, 2]}},
        {"ft": {"epochs": [2, 2]}},
    ]
    lines = faults(tmp_path, defenses=entries)
    assert len(lines) == 3
    assert "defenses[1].ims.k: ims: should be greater than 0, not -1" in lines[0]
    assert "defenses[2].anp.epz: anp: unknown key 'epz'; did you mean 'eps'?" in lines[1]
    assert "defenses[3]: the same as another of its values" in lines[2]


def test_all_faults_at_once_with_location_and_nearest_name(tmp_path):
    lines = faults(
        tmp_path,
        attacks=["badnet", {"blended": {"alhpa": 0.1}}],
        defenses=["none", {"anp": {"eps": -1, "steps": "many"}}],
        recipe={"fst": {}},
        budgets=[{"spc": 2}, {"spc": 300}, {"spc": 2, "ratio": 0.1}],
        seeds=[0, 1, 0],
        target=10,
    )
    expected = [
        "small.yaml:9: attacks[0]: unknown attack 'badnet'; did you mean 'badnets'?",
        "attacks[1].blended.alhpa: blended: unknown key 'alhpa'; did you mean 'alpha'?",
        "anp.eps: anp: should be greater than or equal to 0, not -1",
        "anp.steps: anp: should be a valid integer, unable to parse string as an integer, "
        "not 'many'",
        "recipe: unknown recipe 'fst'; did you mean 'fast'?",
        "budgets[1]: digits: spc 300: class 0 has only 134 training images",
        "a budget is either 'spc' (images per class) or 'ratio'",
        "seeds[2]: the same as seeds[0]",
        "target: no class of digits: 10; digits has the classes 0 to 9",
    ]
    for text in expected:
        assert any(text in line for line in lines), (text, lines)
    assert len(lines) == len(expected), lines


def test_an_unknown_key_hides_no_other_fault(tmp_path):
    lines = faults(tmp_path, attack=["badnets"], rates="many", defenses=["none", "imz"])
    assert sorted(text.split(": ", 1)[1] for text in lines) == [
        "attack: unknown key 'attack'; did you mean 'attacks'?",
        "defenses[1]: unknown defense 'imz'; did you mean 'ims'?",
        "rates: should be a valid list, not 'many'",
    ]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"defences": ["none"]}, "unknown key 'defences'; did you mean 'defenses'?"),
        ({"seeds": []}, "seeds: List should have at least 1 item"),
        ({"seeds": 0}, "seeds: should be a valid list, not 0"),
        (
            {"rates": [1.5]},
            "rates[0]: a share below 1, or a whole number of samples, is needed, not 1.5",
        ),
        ({"data": ["cifra10"]}, "data[0]: unknown data set 'cifra10'; did you mean 'cifar10'?"),
        ({"data": [{"digits": {"sise": 16}}]}, "digits: unknown key 'sise'; did you mean 'size'?"),
        ({"defenses": ["none", "none"]}, "defenses[1]: the same as defenses[0]"),
        ({"defenses": [{"ft": {"lr": 0.01}}, "ft"]}, "defenses[1]: the same as defenses[0]"),
        ({"defenses": [3]}, "a name, or one name with a mapping of overrides, is needed, not 3"),
        ({"defenses": ["./mine.py"]}, "defenses[0]: no file "),
        ({"attacks": [{"blended": {"image": "hello.png"}}]}, "attacks[0].blended.image: no file "),
        (
            {"target": "everything"},
            "target: no class of digits: 'everything'; digits has the classes 0 to 9",
        ),
        ({"skip": [{"defense": "ft"}]}, "skip[0]: 'reason' is missing"),
        (
            {"skip": [{"defense": "fp", "reason": "x"}]},
            "skip[0]: matches no cell of this study",
        ),
        ({"gate": {"asr": 2}}, "gate.asr: should be less than or equal to 1, not 2"),
    ],
)
def test_one_fault_one_line(tmp_path, changes, text):
    lines = faults(tmp_path, **changes)
    assert len(lines) == 1, lines
    assert text in lines[0]
    assert lines[0].startswith("small.yaml:")


def test_a_repeated_key_is_a_fault(tmp_path):
    path = tiny_study.write_study(tmp_path)
    path.write_text(path.read_text() + "seeds: [1]\n")
    with pytest.raises(UserError, match=r"small.yaml:\d+: seeds: the key 'seeds' is repeated"):
        tiny_study.load(path)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("- 1\n- 2\n", "a study is a mapping with the keys data, models"),
        ("a: [1\n", "not YAML"),
        ("", "mapping"),
    ],
)
def test_files_that_are_no_study(tmp_path, text, match):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=match):
        tiny_study.load(path)


def test_a_figure_is_a_name_or_a_file_beside_the_study(tmp_path):
    (tmp_path / "mine.py").write_text("")
    study = tiny_study.load(tiny_study.write_study(tmp_path, figures=["spread", "./mine.py"]))
    assert study.figures == ("spread", str(tmp_path / "mine.py"))
    (line,) = faults(tmp_path, figures=["./other.py"])
    assert line.endswith("figures[0]: no file other.py")


def test_missing_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match="cannot be read: No such file"):
        tiny_study.load(tmp_path / "nowhere.yaml")


def test_skips_carry_their_reason(tmp_path):
    skip = [{"defense": "ft", "spc": 2, "reason": "known to diverge"}]
    study = tiny_study.load(
        tiny_study.write_study(tmp_path, skip=skip, budgets=[{"spc": 2}, {"spc": 3}])
    )
    assert [cell.skip for cell in study.cells] == [None, "known to diverge", None, None]


def test_a_method_that_needs_more_images_is_skipped_at_planning(tmp_path):
    study = tiny_study.load(
        tiny_study.write_study(tmp_path, defenses=["none", "fp"], budgets=[{"spc": 1}])
    )
    assert [cell.skip for cell in study.cells] == [
        None,
        "needs at least 2 images per class; SPC 1 gives 1",
    ]


def test_numerics_are_part_of_keys_and_of_no_draw_and_absent_at_their_default(tmp_path):
    plain, stated, tf32 = (
        tiny_study.load(tiny_study.write_study(tmp_path / name, **changes))
        for name, changes in (
            ("plain", {}),
            (
                "stated",
                {"numerics": "fp32", "recipe": {"fast": {"epochs": 1, "precision": "auto"}}},
            ),
            ("tf32", {"numerics": "tf32"}),
        )
    )
    for cell, explicit, other in zip(plain.cells, stated.cells, tf32.cells, strict=True):
        assert "numerics" not in cell.spec
        assert "numerics" not in explicit.spec
        assert other.spec["numerics"] == "tf32"
        moved = replace(other, victim=cell.victim)
        assert moved.key != cell.key
        assert moved.defense_key == cell.defense_key
    precisions = [study.cells[0].victim.recipe.precision for study in (plain, stated, tf32)]
    assert precisions == ["auto", "fp32", "tf32"]


def test_a_recipe_keeps_the_arithmetic_that_it_states(tmp_path):
    recipe = {"fast": {"epochs": 1, "precision": "fp32"}}
    study = tiny_study.load(tiny_study.write_study(tmp_path, numerics="tf32", recipe=recipe))
    assert study.cells[0].victim.recipe.precision == "fp32"
    assert study.cells[0].numerics == "tf32"


def test_an_unknown_arithmetic_is_one_line(tmp_path):
    (line,) = faults(tmp_path, numerics="fp16")
    assert "numerics: should be 'fp32', 'tf32' or 'bf16'" in line


def test_a_misspelt_key_is_one_line_although_it_is_required(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(
        "data: [digits]\nmodels: [resnet18]\natacks: [badnets]\ndefences: [none]\n"
        "budgets: [{spc: 2}]\nsedes: [0]\ngate: {arss: 1}\nskip: [{reasn: x}]\nrates: [2.5]\n"
    )
    with pytest.raises(UserError) as caught:
        tiny_study.load(path)
    lines = str(caught.value).splitlines()
    for wrong, right in (
        *(("atacks", "attacks"), ("defences", "defenses"), ("sedes", "seeds")),
        *(("arss", "asr"), ("reasn", "reason")),
    ):
        (line,) = [x for x in lines if f"unknown key {wrong!r}" in x]
        assert f"did you mean {right!r}" in line
    assert len(lines) == 6


SEVENTEEN_FAULTS = """data: [digits, cifar]
models: [{preactresnet18: {widht: 8}}]
recipe: {fast: {epoch: 3}}
attacks: [badnet, {badnets: {size: 9}}]
target: 12
defenses: [{ft: {epochs: -1}}, ./missing.py, ims, ims]
budgets: [{spc: 2}, {spcc: 2}, {spc: 500}]
seeds: [0, zero]
gate: {asr: high}
figures: [curve]
skip: [{defense: imz, reason: none such}, {defence: ims, reason: x}]
keep_model: true
"""


def test_seventeen_faults_are_seventeen_lines_in_the_first_round(tmp_path):
    """Keys, names, hyperparameters, missing files, and what does not fit the data."""
    path = tmp_path / "faults.yaml"
    path.write_text(SEVENTEEN_FAULTS)
    with pytest.raises(UserError) as caught:
        tiny_study.load(path)
    lines = [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()]
    places = sorted(line.split(": ")[1] for line in lines)
    assert places == sorted(
        [
            "data[1]",
            "models[0].preactresnet18.widht",
            "recipe.fast.epoch",
            "attacks[0]",
            "attacks[1]",
            "target",
            "defenses[0].ft.epochs",
            "defenses[1]",
            "defenses[3]",
            "budgets[1].spcc",
            "budgets[2]",
            "seeds[1]",
            "gate.asr",
            "figures[0]",
            "skip[0]",
            "skip[1].defence",
            "keep_model",
        ]
    )

"""Presets: values by name, overridden by further keys, and no part of a key."""

import json
from dataclasses import asdict

import pytest

from harness.errors import UserError
from harness.plan.catalogue import as_text, entries
from harness.plan.entries import resolve_method
from harness.plan.keys import digest
from harness.plan.registry import describe, names
from harness.plan.validation import validate
from tests.helpers import tiny_study

BEFORE = {
    "anp": "c502b354a197f139731a0e8f",
    "bnp": "594b214d4a74c41b19e76fd8",
    "fst": "7e6991ca6e6ff4901468b658",
    "ft_sam": "af8a718d8dc3fac6df2e7b25",
    "grad_prune_synthetic": "6f10faa96f69c7e0fe1d8a8b",
    "i_bau": "aeac59a59eca8ee4875f68d3",
    "nad": "05a47763e4ee5f867b77a7a8",
    "nc": "2025283da6e33febbbbec13b",
    "rnp": "68c80ca71f10c7f65e8a38ba",
}
"""Digests of the default hyperparameters, from before these defenses got further fields."""
AUTHORS = {"i_bau": {"preset": "authors"}}


def resolve(entry):
    return resolve_method("defense", entry, None)


@pytest.mark.parametrize("name", BEFORE)
def test_a_new_field_moves_no_key(name):
    assert digest(resolve(name).identity["hyper"]) == BEFORE[name]
    later = set(resolve(name).hyper) - set(resolve(name).identity["hyper"])
    assert later
    written_out = {field: resolve(name).hyper[field] for field in later}
    assert resolve({name: written_out}).digest == resolve(name).digest


def test_a_preset_is_its_values_written_out():
    values = asdict(describe("defense", "i_bau").presets["authors"])
    assert resolve(AUTHORS).digest == resolve({"i_bau": values}).digest != resolve("i_bau").digest
    assert resolve(AUTHORS).load().hyper.radius == 10


def test_further_keys_override_a_preset():
    changed = resolve({"i_bau": {"rounds": 3, "preset": "authors"}})
    assert changed.hyper == {**resolve(AUTHORS).hyper, "rounds": 3}


def test_comparison_is_the_name_of_the_defaults():
    assert resolve({"i_bau": {"preset": "comparison"}}).digest == resolve("i_bau").digest


@pytest.mark.parametrize("name", names("defense"))
def test_the_presets_of_a_defense_are_valid_values(name):
    method = describe("defense", name)
    for preset in method.presets.values():
        assert validate(method.hyper, asdict(preset)) == preset


@pytest.mark.parametrize(
    ("preset", "text"),
    [
        ("autors", "i_bau: unknown preset 'autors'; did you mean 'authors'?"),
        (1, "i_bau: unknown preset 1; known: authors, comparison"),
    ],
)
def test_an_unknown_preset_is_one_line_with_the_nearest_name(tmp_path, preset, text):
    path = tiny_study.write_study(tmp_path, defenses=["none", {"i_bau": {"preset": preset}}])
    with pytest.raises(UserError) as error:
        tiny_study.load(path)
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"{path}:")
    assert line.endswith(f"defenses[1].i_bau.preset: {text}")


def test_labels_name_a_preset_always_and_overrides_where_a_method_is_listed_twice(tmp_path):
    def labels(*defenses):
        study = tiny_study.load(tiny_study.write_study(tmp_path, defenses=list(defenses)))
        return [(cell.defense.label, cell.defense.display) for cell in study.cells]

    changed = {"i_bau": {"preset": "authors", "rounds": 3}}
    assert labels(AUTHORS) == [("i_bau (authors)", "I-BAU (authors)")]
    assert labels(changed) == [("i_bau (authors)", "I-BAU (authors)")]
    assert labels({"i_bau": {"preset": "comparison"}}) == [("i_bau", "I-BAU")]
    assert labels("i_bau", AUTHORS, changed) == [
        ("i_bau", "I-BAU"),
        ("i_bau (authors)", "I-BAU (authors)"),
        ("i_bau (authors, rounds=3)", "I-BAU (authors, rounds=3)"),
    ]


def test_the_list_shows_in_what_a_preset_differs():
    rows = {row["name"]: row for row in entries("defenses")["defenses"]}
    assert json.loads(json.dumps(rows["fst"]["presets"])) == {
        "authors": {"alpha": 0.1, "batch": 128, "cosine_per_epoch": True}
    }
    text = as_text(entries("defenses"))
    assert "  preset authors: alpha=0.1, batch=128, cosine_per_epoch=True\n" in text
    assert "  preset authors: the defaults\n" in text

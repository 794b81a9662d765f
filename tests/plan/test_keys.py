"""Keys and seeds are fixed: a digest that moves makes every stored result unreachable."""

import pytest

from harness.plan.keys import canonical, digest, seed
from tests.helpers import tiny_study


def test_digests_are_what_they_were():
    assert canonical({"b": [1, 2.5, None], "a": "ä"}) == '{"a":"\\u00e4","b":[1,2.5,null]}'
    assert digest({"a": 1}) == "015abd7f5cc57a2dd94b7590"
    assert seed("budget", "abc", 0) == 280577537922722709


def test_nan_has_no_key():
    with pytest.raises(ValueError, match="Out of range float"):
        digest({"lr": float("nan")})


def test_seeds_depend_on_every_part():
    parts = [("a", 1), ("a", 2), ("b", 1), ("a", 1, 1), ("a1",)]
    assert len({seed(*part) for part in parts}) == len(parts)


def test_order_of_the_file_moves_no_key(tmp_path):
    changes = {"defenses": ["none", "ft"], "budgets": [{"spc": 2}, {"spc": 10}], "seeds": [0, 1]}
    first = tiny_study.load(tiny_study.write_study(tmp_path / "a", **changes))
    turned = {name: list(reversed(values)) for name, values in changes.items()}
    second = tiny_study.load(
        tiny_study.write_study(tmp_path / "b", **dict(reversed(turned.items())))
    )
    assert {cell.key for cell in first.cells} == {cell.key for cell in second.cells}
    assert len({cell.key for cell in first.cells}) == len(first.cells) == 8


def test_spelling_of_a_number_moves_no_key(tmp_path):
    text = tiny_study.write_study(tmp_path).read_text()
    (tmp_path / "b.yaml").write_text(text.replace("epochs: 2", "epochs: 2\n    lr: 1e-2"))
    a, b = tiny_study.load(tmp_path / "small.yaml"), tiny_study.load(tmp_path / "b.yaml")
    assert [cell.key for cell in a.cells] == [cell.key for cell in b.cells]  # 0.01 is the default


def test_every_hyperparameter_moves_its_key(tmp_path):
    plain = tiny_study.load(tiny_study.write_study(tmp_path / "a"))
    other = tiny_study.load(
        tiny_study.write_study(tmp_path / "b", defenses=["none", {"ft": {"epochs": 3}}])
    )
    assert plain.cells[0].key == other.cells[0].key
    assert plain.cells[1].key != other.cells[1].key
    assert plain.cells[1].victim.key == other.cells[1].victim.key

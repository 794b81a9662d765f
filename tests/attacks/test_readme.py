"""The page of the attacks lists what the files declare."""

from tests import regenerate


def test_the_table_of_attacks_is_that_of_the_registry():
    page = regenerate.ROOT / "attacks" / "README.md"
    assert page.read_text(encoding="utf-8") == regenerate.method_tables()[page]

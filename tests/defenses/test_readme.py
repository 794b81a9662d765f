"""The page of the defenses lists what the files declare."""

from tests import regenerate


def test_the_table_of_defenses_is_that_of_the_registry():
    page = regenerate.ROOT / "defenses" / "README.md"
    assert page.read_text(encoding="utf-8") == regenerate.method_tables()[page]

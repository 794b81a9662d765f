"""The short form of ``python -m tests.campaign``: malformed studies are refused clearly."""

from tests.campaign import MOST_SECONDS, outcomes, unclear


def test_malformed_studies_are_refused_clearly_and_soon():
    found = outcomes(60)
    assert len(found) == 60
    assert [x for x in found if x.kind == "traceback"] == []
    assert [x for x in found if unclear(x)] == []
    assert [x for x in found if x.seconds > MOST_SECONDS] == []
    assert sum(x.kind == "refused" for x in found) >= 50

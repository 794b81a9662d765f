"""The short form of ``python -m tests.campaign``: hostile inputs are refused clearly and soon."""

import shutil

import pytest

from tests.campaign import stores
from tests.campaign.outcome import outcome_of
from tests.campaign.studies import MOST_SECONDS, outcomes, unclear

EVERY = 10
"""Of the cases, the short form takes each tenth."""


def test_malformed_studies_are_refused_clearly_and_soon():
    found = outcomes(60)
    assert len(found) == 60
    assert [x for x in found if x.kind == "traceback"] == []
    assert [x for x in found if unclear(x)] == []
    assert [x for x in found if x.seconds > MOST_SECONDS] == []
    assert sum(x.kind == "refused" for x in found) >= 50


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    stores.good_store(folder)
    return folder


def test_damaged_stores_are_refused_clearly(good, tmp_path):
    found = []
    for number, case in enumerate(list(stores.cases(good, report=False))[::EVERY]):
        folder = tmp_path / str(number)
        folder.mkdir()
        found.append(outcome_of(case, folder))
        shutil.rmtree(folder)
    assert len(found) > 8
    assert [(x.case.what, x.fault, x.message) for x in found if x.fault] == []

"""The short form of ``python -m tests.campaign``: hostile inputs are refused clearly and soon."""

import shutil

import pytest

from tests.campaign import checkpoints, stores, studies
from tests.campaign.outcome import outcome_of

EVERY = 10
"""Of the cases, the short form takes each tenth."""


def faults(cases, folder):
    """Attempt all cases; return what was wrong, and how many were refused."""
    found = []
    for number, case in enumerate(cases):
        place = folder / str(number)
        place.mkdir()
        found.append(outcome_of(case, place))
        shutil.rmtree(place)
    wrong = [(x.case.what, x.fault, x.message) for x in found if x.fault not in ("", "too long")]
    return wrong, sum(x.kind == "refused" for x in found)


def test_malformed_studies_are_refused_clearly_and_soon(tmp_path):
    wrong, refused = faults(studies.cases(60), tmp_path)
    assert wrong == []
    assert refused >= 50


def test_no_code_in_a_checkpoint_is_run(tmp_path):
    wrong, refused = faults(list(checkpoints.cases(0))[::2], tmp_path)
    assert wrong == []
    assert refused > 30


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    stores.good_store(folder)
    return folder


def test_damaged_stores_are_refused_clearly(good, tmp_path):
    wrong, refused = faults(list(stores.cases(good, report=False))[::EVERY], tmp_path)
    assert wrong == []
    assert refused > 4

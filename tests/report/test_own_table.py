"""A user's own table, a file that the study names by its path."""

import pandas as pd
import pytest

from harness.errors import UserError
from harness.report.frame.report_data import load_report_data
from harness.report.write import write_report
from tests.helpers.synthetic_store import fabricate

OWN = '''"""The number of cells of each defense."""

from harness.report import TableContents, table


@table
def counted(report):
    numbers = report.frame.groupby("defense", as_index=False).size()
    return TableContents(texts=[], numbers=numbers)
'''


def test_it_joins_the_report_and_others_can_be_left_out(tmp_path):
    (tmp_path / "counted.py").write_text(OWN)
    study, store = fabricate(tmp_path, extra="tables: [victims, ./counted.py]\nfigures: []")
    assert study.tables == ("victims", str(tmp_path / "counted.py"))
    written = write_report(load_report_data([study], store), tmp_path / "report")
    files = {path.name for path in written.paths}
    assert {"leaderboard.md", "victims.md", "counted.csv"} <= files
    assert "ranks.md" not in files
    numbers = pd.read_csv(tmp_path / "report" / "counted.csv")
    assert set(numbers["defense"]) == {"none", "method_00", "method_01", "method_02"}


def test_an_unknown_table_and_a_name_that_is_in_use_are_refused(tmp_path):
    with pytest.raises(UserError, match="unknown table 'rank'; did you mean 'ranks'"):
        fabricate(tmp_path, extra="tables: [rank]")
    (tmp_path / "ranks.py").write_text(OWN)
    with pytest.raises(UserError, match="another output is called 'ranks'"):
        fabricate(tmp_path, extra="tables: [./ranks.py]")

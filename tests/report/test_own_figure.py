"""A user's own figure, a file that the study names by its path."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from harness.data.cache import default_cache
from harness.errors import UserError
from harness.report.frame.report_data import load_report_data
from harness.report.outputs import make_figures
from harness.report.page.methods import own_files
from harness.report.up_to_date import input_digest, write_stamp
from harness.report.write import write_report
from harness.study.load import load_study
from tests.helpers.synthetic_frames import frame, report_of
from tests.helpers.synthetic_store import fabricate

OWN = '''"""The number of cells of each defense."""

from matplotlib.figure import Figure

from harness.report import Drawing, figure


@figure(title="Cells, {group}", caption="How many cells each defense has.")
def mine(group, report):
    data = group.frame.groupby("defense", as_index=False).size()
    fig = Figure()
    fig.subplots().bar([group.names.of("defense", name) for name in data["defense"]], data["size"])
    return Drawing(data=data, figure=fig, note="Nothing is left out.")
'''


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    return path


def test_it_joins_the_report_and_its_page(tmp_path, own):
    study, store = fabricate(tmp_path, extra="figures: [curves, ./mine.py]")
    assert study.figures == ("curves", str(own))
    written = write_report(load_report_data([study], store), tmp_path / "report")
    assert {"mine.pdf", "mine.png", "mine.csv"} <= {path.name for path in written.paths}
    numbers = pd.read_csv(tmp_path / "report" / "mine.csv")
    assert set(numbers["defense"]) == {"none", "method_00", "method_01", "method_02"}
    page = written.page.read_text(encoding="utf-8")
    assert '<figure id="figure-mine">' in page
    assert "Cells, digits · " in page
    assert "How many cells each defense has. Nothing is left out." in page
    assert "<h3>mine.py</h3>" in page
    assert "def mine(group, report):" in page


def test_the_page_has_every_file_that_the_study_needs(tmp_path, own):
    study, _ = fabricate(tmp_path, extra="figures: [curves, ./mine.py]")
    method = tmp_path / "method_00.py"
    method.write_text(f"import shared\n{method.read_text()}")
    (tmp_path / "shared.py").write_text("import numpy\n")
    (tmp_path / "unused.py").write_text("")
    names = [Path(path).name for path in own_files([study])]
    methods = ["attack_0", "attack_1", "method_00", "method_01", "method_02"]
    assert names == [*(f"{name}.py" for name in methods), "mine.py", "shared.py"]


def test_several_groups_have_a_figure_each(own):
    cells = frame(models=("preactresnet18", "vgg"))
    figures = list(make_figures(report_of(cells, figures=(str(own),))))
    assert [figure.stem for figure in figures] == ["mine_digits_preactresnet18", "mine_digits_vgg"]
    assert [figure.title for figure in figures] == [
        "Cells, digits · preactresnet18",
        "Cells, digits · vgg",
    ]


def test_a_file_without_a_figure_is_named(own):
    own.write_text(OWN.replace("@figure(", "dict("))
    with pytest.raises(UserError, match=r"mine\.py: one function decorated with @figure is needed"):
        list(make_figures(report_of(frame(), figures=(str(own),))))


@pytest.mark.parametrize("name", ["curves", "victims", "records"])
def test_a_name_that_another_output_has_is_refused(tmp_path, name):
    path = tmp_path / f"{name}.py"
    path.write_text(OWN)
    report = report_of(frame(), figures=("curves", str(path)))
    with pytest.raises(UserError, match=rf"another output is called '{name}'; rename the file"):
        list(make_figures(report))


def test_a_report_is_written_again_when_its_figure_changes(tmp_path, own):
    study, store = fabricate(tmp_path, extra="figures: [./mine.py]")
    before = input_digest([study], store.latest())
    own.write_text(OWN + "\n# another colour\n")
    assert input_digest([study], store.latest()) != before


def test_files_of_a_figure_that_left_the_study_are_removed(tmp_path, own):
    folder = tmp_path / "report"
    written = write_report(report_of(frame(), figures=(str(own),)), folder)
    write_stamp(folder, "", written.paths)
    write_report(report_of(frame(), figures=()), folder)
    assert not list(folder.glob("mine*"))


def test_a_study_names_it_where_it_is_missing(tmp_path):
    fabricate(tmp_path)
    path = tmp_path / "made_up.yaml"
    path.write_text(path.read_text() + "figures: [./other.py]\n")
    with pytest.raises(UserError, match=r"figures\[0\]: no file .*other\.py"):
        load_study(path, None, default_cache())

from __future__ import annotations

import re

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from harness.plan.paper import Paper
from harness.plan.registry import names
from harness.report.figures.curves import curve_data, draw, samples_per_class, unplaced
from harness.report.frame.groups import split_groups
from harness.report.outputs import make_figures
from harness.report.plotting.curves import PANELS
from harness.report.plotting.style import DRAWN_LIKE, OURS, method_styles, rc, save
from harness.report.stats.means import deduplicate, summarize
from tests.helpers.synthetic_frames import fail, frame, report_of


def drawn(cells):
    (group,) = split_groups(deduplicate(cells))
    data = curve_data(group)
    methods = sorted(set(cells["defense"]) - {"none"})
    with mpl.rc_context(rc(group.paper)):
        return data, draw(data, group, method_styles(methods, set()))


def test_three_panels_with_one_line_per_defense_and_a_reference():
    _, figure = drawn(frame(("none", "ft", "anp", "ims"), (2, 10, 100), (0, 1, 2)))
    assert [axes.get_title() for axes in figure.axes] == ["ACC (%)", "ASR (%)", "RA (%)"]
    for axes in figure.axes:
        assert [line.get_label() for line in axes.lines] == ["no defense", "anp", "ft", "ims"]
        assert axes.get_xscale() == "log"
        assert [text.get_text() for text in axes.get_xticklabels()] == ["2", "10", "100"]
        low, high = axes.get_ylim()
        assert 0 <= low < high == 100
        (bands,) = axes.collections
        assert len(bands.get_paths()) == 3  # one per defense


def test_lines_are_the_statistics_in_percent():
    cells = frame(("none", "ims"), (2, 10), (0, 1, 2))
    data, figure = drawn(cells)
    table = summarize(deduplicate(cells), ["defense", "budget"], list(PANELS)).set_index(
        ["defense", "budget", "metric"]
    )
    for axes, metric in zip(figure.axes, PANELS, strict=True):
        line = next(line for line in axes.lines if line.get_label() == "ims")
        assert list(line.get_xdata()) == [2, 10]
        expected = [
            100 * table.loc[("ims", budget, metric), "mean"] for budget in ("SPC 2", "SPC 10")
        ]
        assert list(line.get_ydata()) == pytest.approx(expected)
    rows = data[data["defense"].eq("ims")].set_index(["defense", "budget", "metric"])
    numbers = ["mean", "low", "high", "n_cells", "n_planned"]
    pd.testing.assert_frame_equal(rows[numbers], table.loc[rows.index, numbers], check_exact=True)


def test_bands_and_their_data_stay_within_0_and_100():
    data, figure = drawn(
        frame(("none", "ims"), (2, 10), (0, 1, 2)).assign(asr=lambda cells: cells["seed"] * 0.45)
    )
    asr = data[data["metric"].eq("asr")]
    assert (asr["low"].min(), asr["high"].max()) == (0, 1)
    assert len(figure.axes[1].collections) == 1
    for collection in figure.axes[1].collections:
        heights = np.concatenate([path.vertices[:, 1] for path in collection.get_paths()])
        assert heights.min() >= 0
        assert heights.max() <= 100


def test_two_seeds_draw_no_band_since_their_interval_says_nothing():
    data, _ = drawn(frame(("none", "ims"), (2, 10)))
    assert data["low"].isna().all()
    assert data["lowest"].notna().all()


def test_one_seed_draws_lines_without_bands_worth_seeing():
    data, figure = drawn(frame(seeds=(0,)))
    assert data["low"].isna().all()
    for axes in figure.axes:
        assert len(axes.lines) == 4
        assert not any(
            np.isfinite(path.vertices).any()
            for band in axes.collections
            for path in band.get_paths()
        )


def test_lone_points_stand_side_by_side():
    _, figure = drawn(frame(("none", "ft", "anp", "ims"), (10,)))
    places = [line.get_xdata()[0] for line in figure.axes[0].lines[1:]]
    assert len(set(places)) == 3
    assert all(10 / 1.5 < place < 10 * 1.5 for place in places)


def test_ratio_budgets_find_their_place_or_are_named():
    cells = frame(spcs=(2, 10)).assign(spc=lambda cells: cells["spc"].where(cells["spc"].gt(2)))
    assert samples_per_class(cells).to_dict() == {"SPC 10": 10.0, "SPC 2": 2.0}
    (group,) = split_groups(deduplicate(cells.assign(spc=np.nan)))
    assert unplaced(group) == ["SPC 2", "SPC 10"]
    assert draw(curve_data(group), group, {}) is None


def test_nothing_finished_draws_nothing():
    cells = frame()
    _, figure = drawn(fail(cells, cells["key"].notna(), "missing"))
    assert figure is None


def test_twenty_methods_all_look_different():
    names = [f"d{number:02}" for number in range(20)]
    look = method_styles(names, {"d03"})
    assert len(set(look.values())) == 20
    assert len({(one.color, one.marker) for one in look.values()}) == 20
    assert look["d03"].line()["mfc"] == "white"
    _, figure = drawn(frame(("none", *names)))
    colours = {line.get_label(): line.get_color() for line in figure.axes[0].lines}
    assert all(to_hex(colours[name]).upper() == look[name].color for name in names)


def test_a_method_looks_the_same_in_every_report_and_all_look_different():
    built_in = [name for name in names("defense") if name != "none"]
    assert set(built_in) == set(DRAWN_LIKE)
    assert len(set(DRAWN_LIKE)) == len(DRAWN_LIKE)
    variants = ["ims (k=5)", "ims (k=10)", "nad (authors)"]
    own = ["my_method", "shrink"]
    everything = method_styles([*built_in, *variants, *own], set())
    assert len({(one.color, one.marker) for one in everything.values()}) == len(everything)
    for some in (["ims", "anp"], ["ft", "shrink", "ims"], ["oracle", "ims (k=5)", *own], built_in):
        assert method_styles(some, set()) == {name: everything[name] for name in some}
    assert everything["ims (k=5)"].color == everything["ims"].color


def test_three_reports_with_different_methods_draw_them_alike():
    looks = []
    for methods in (["ims", "anp", "ft"], ["aft", "ims", "clp", "ft", "shrink"], ["ft", "ims"]):
        report = report_of(frame(("none", *methods)), figures=("curves", "tradeoff"))
        for figure in make_figures(report):
            lines = figure.figure.axes[0].lines
            looks.append({x.get_label(): (x.get_color(), x.get_marker()) for x in lines})
    for label in ("ims", "ft"):
        assert len({look[label] for look in looks}) == 1, label
    assert looks[0]["ims"] != looks[0]["ft"]


def test_the_papers_own_method_has_its_own_look():
    look = method_styles(["anp", "ims"], set(), "ims")
    assert look["ims"] == OURS
    assert look["anp"] == method_styles(["anp"], set())["anp"]
    assert OURS.color not in {
        style.color for style in method_styles(list(DRAWN_LIKE), set()).values()
    }


def test_the_legend_lies_below_the_panels(tmp_path):
    _, figure = drawn(frame(("none", *[f"method_{number}" for number in range(20)])))
    save(figure, tmp_path / "curves", Paper())
    (legend,) = figure.legends
    top = legend.get_window_extent().y1
    assert all(axes.get_tightbbox().y0 > top for axes in figure.axes)
    assert len(legend.get_texts()) == 21


def test_files_are_equal_for_equal_data_and_embed_truetype(tmp_path):
    for name in ("a", "b"):
        save(drawn(frame())[1], tmp_path / name, Paper())
    pdf, png, pdf2, png2 = (tmp_path / name for name in ("a.pdf", "a.png", "b.pdf", "b.png"))
    assert pdf.read_bytes() == pdf2.read_bytes()
    assert png.read_bytes() == png2.read_bytes()
    assert b"/CreationDate" not in pdf.read_bytes()
    assert re.search(rb"/Subtype\s*/(TrueType|CIDFontType2)", pdf.read_bytes())

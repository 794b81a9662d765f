from __future__ import annotations

import itertools
import re
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from harness.plan.paper import Paper
from harness.plan.report_names import figure_names
from harness.report.figures import anatomy, classes
from harness.report.frame.display_names import DisplayNames
from harness.report.frame.groups import legend_label, split_groups
from harness.report.frame.published import MATCHED
from harness.report.frame.report_data import load_report_data
from harness.report.outputs import load_figure, make_figures
from harness.report.plotting.style import TALLEST, rc
from tests.helpers.synthetic_frames import fail, frame, report_of
from tests.helpers.synthetic_store import LAYERS, fabricate


@pytest.fixture(scope="module", params=[2, 20])
def drawn(request, tmp_path_factory):
    """Every figure of a study with two, and with twenty, defenses."""
    folder = tmp_path_factory.mktemp("made-up")
    study, store = fabricate(folder, defenses=request.param + 1, rates=(0.01, 0.1))
    table = folder / "published.csv"
    cells = load_report_data([study], store).attacked[MATCHED].drop_duplicates()
    cells.assign(acc=90, asr=5).to_csv(table, index=False)
    report = load_report_data([study], store, published=table)
    return request.param, report, {figure.stem: figure for figure in make_figures(report)}


def test_every_file_is_a_figure_with_a_title():
    assert len(figure_names()) == 14
    for name in figure_names():
        draw, info = load_figure(name)
        assert draw.__module__ == f"harness.report.figures.{name}"
        assert info.title


def test_every_figure_is_drawn_with_its_data(drawn):
    _, _, found = drawn
    absent = {"ablation", "pruning_curves", "activation_pictures"}  # no variants or probes here
    drawable = [name for name in figure_names() if name not in absent]
    assert [stem.partition("_")[0] for stem in found] == drawable
    for figure in found.values():
        assert figure.figure is not None
        assert len(figure.data)
        assert figure.caption.endswith(".")
        assert re.search(r"\d", figure.alt), f"{figure.stem}: no number for who can't see it"


def test_what_is_read_out_is_what_is_drawn():
    cells = frame(("none", "ft", "ims"), spcs=(2, 10), seeds=(0,), attacks=("badnets",))
    scores = {("ft", 2): 0.5, ("ims", 2): 0.4, ("ft", 10): 0.3, ("ims", 10): 0.25}
    for (defense, spc), asr in scores.items():
        rows = cells["defense"].eq(defense) & cells["spc"].eq(spc)
        cells.loc[rows, ["asr", "acc"]] = [asr, 0.9 if defense == "ft" else 0.8]
    report = report_of(cells, ("tradeoff", "curves"))
    tradeoff, curves = (figure.alt for figure in make_figures(report))
    ends = "ASR from 25.0 (ims) to 30.0 (ft)"
    assert tradeoff == (
        f"At SPC 10: {ends}; ACC from 80.0 (ims) to 90.0 (ft). "
        "On the front: ims (ASR 25.0, ACC 80.0), ft (ASR 30.0, ACC 90.0)."
    )
    assert f"; {ends};" in curves


def test_no_figure_is_wider_than_a_page_nor_higher(drawn):
    for figure in drawn[2].values():
        assert figure.figure.get_figwidth() <= Paper().page_inches
        assert figure.figure.get_figheight() <= 10


def tick_labels(axis):
    """Return the tick labels that are drawn: those within the axis."""
    low, high = sorted(axis.get_view_interval())
    there = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [label for tick in there for label in (tick.label1, tick.label2) if label.get_visible()]


def test_no_text_is_clipped_and_no_labels_of_an_axis_overlap(drawn):
    for figure in drawn[2].values():
        figure.figure.draw_without_rendering()
        width, height = figure.figure.bbox.size
        for axes in [axes for axes in figure.figure.axes if axes.get_visible() and axes.axison]:
            ticks = [tick_labels(axes.xaxis), tick_labels(axes.yaxis)]
            for text in [
                axes.title,
                axes.xaxis.label,
                axes.yaxis.label,
                *axes.texts,
                *itertools.chain(*ticks),
            ]:
                if text.get_visible() and text.get_text():
                    box = text.get_window_extent()
                    assert -1 <= box.x0 < box.x1 <= width + 1, (figure.stem, text.get_text())
                    assert -1 <= box.y0 < box.y1 <= height + 1, (figure.stem, text.get_text())
            for labels in ticks:
                boxes = [
                    label.get_window_extent()
                    for label in labels
                    if label.get_text() and not label.get_rotation()
                ]
                for a, b in itertools.pairwise(boxes):
                    assert not a.overlaps(b) or a.height * b.height == 0, (figure.stem, a, b)


def test_a_name_says_once_that_a_method_is_an_oracle():
    names = DisplayNames({("defense", "ims"): "IMS"})
    access = {"oracle": "oracle", "grad_prune": "oracle", "nad-theirs": "external"}
    shown = [
        legend_label(name, access, names)
        for name in ("none", "ims", "oracle", "grad_prune", "nad-theirs")
    ]
    assert shown == ["no defense", "IMS", "oracle", "grad_prune (oracle)", "nad-theirs (external)"]


def test_names_in_the_critical_difference_diagram_do_not_overlap(drawn):
    number, _, found = drawn
    (axes,) = found["critical"].figure.axes
    found["critical"].figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == number  # the oracle takes no part
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_the_anatomy_counts_the_channels_of_both_masks(drawn):
    _, _, found = drawn
    data = found["anatomy_method_00"].data.set_index(["attack", "kind", "layer"])
    assert set(data["budget"]) == {"SPC 10"}
    for layer, channels in LAYERS.items():
        mask, inverse = (data.loc[("attack_0", kind, layer)] for kind in ("mask", "inverse"))
        assert mask["channels"] == channels
        assert mask["below_half"] + inverse["below_half"] == channels  # gates of 0.5 do not occur
        assert {*mask["which"].split(), *inverse["which"].split()} == set(map(str, range(channels)))
    assert data.loc[("attack_0", "inverse", "net.conv1"), "asr"] == 0.97


def test_layers_stand_in_the_order_of_the_network():
    names = ["layer10.0.conv1", "conv1", "layer2.0.shortcut.0", "layer2.0.conv1", "layer2.1.conv1"]
    gates = {f"mask.net.{name}": np.ones(2) for name in names}
    order = [name.removeprefix("net.") for name in anatomy.layers(gates, "mask")]
    assert order == [
        "conv1",
        "layer2.0.conv1",
        "layer2.0.shortcut.0",
        "layer2.1.conv1",
        "layer10.0.conv1",
    ]


def test_the_gallery_measures_the_trigger(drawn):
    data = drawn[2]["gallery"].data
    assert set(data["changed_pixels"]) == {4 / 64}
    assert data["linf"].between(0.2, 1).all()


def test_asr_per_class_averages_to_the_asr_and_leaves_the_target_out(drawn):
    _, found, made = drawn
    data = made["classes"].data
    assert set(data["class"]) == set(range(1, 10))
    cells = found.frame[found.frame["defense"].eq("method_00") & found.frame["budget"].eq("SPC 10")]
    counted = cells[cells["gate"].eq(True) & cells["status"].eq("ok")]
    hits = []
    for key, victim in zip(counted["key"], counted["victim"], strict=True):
        truth = found.artifact(victim, "predictions")
        hits.append(
            np.mean(found.artifact(key, "predictions")["triggered"] == truth["truth_wanted"])
        )
    mean = data[data["defense"].eq("method_00")]["asr"].mean()
    assert mean == pytest.approx(np.mean(hits))


def test_records_without_artifacts_draw_without_them(drawn):
    _, report, _ = drawn
    bare = replace(report, store=None, figures=("anatomy", "gallery", "classes"))
    assert not list(make_figures(bare))


def test_one_poison_rate_draws_no_rate_curves():
    assert not list(make_figures(report_of(frame(), figures=("rates",))))


def test_rate_curves_compare_the_same_attacks():
    low, high = frame(), frame(attacks=("badnets", "blended", "wanet"))
    for cells, rate in ((low, 0.01), (high, 0.1)):
        cells["rate"] = rate
        cells["victim"] += f"/{rate}"
        cells["key"] += f"/{rate}"
    (figure,) = make_figures(report_of(pd.concat([low, high]), figures=("rates",)))
    assert figure.note.endswith("wanet left out, at other poison rates.")
    assert set(figure.data["n_conditions"]) == {2}
    only = pd.concat([low[low["attack"].eq("badnets")], high[high["attack"].eq("wanet")]])
    assert not list(make_figures(report_of(only, figures=("rates",))))


def test_classes_have_their_names(drawn):
    _, report, found = drawn
    assert [text.get_text() for text in found["classes"].figure.axes[0].get_xticklabels()] == [
        str(number) for number in range(1, 10)
    ]
    assert classes.names_of_classes(report.groups[0], report) == tuple(map(str, range(10)))
    data = found["classes"].data
    names = [f"class {letter}" for letter in "abcdefghij"]
    with mpl.rc_context(rc(Paper())):
        axes = classes.draw(data, report.groups[0], names).axes[0]
        many = classes.draw(data.assign(**{"class": data["class"] % 2 * 90}), report.groups[0])
    assert [text.get_text() for text in axes.get_xticklabels()] == names[1:]
    assert [text.get_text() for text in many.axes[0].get_xticklabels()] == ["0", "90"]


def test_the_ranks_of_the_critical_difference_diagram_are_at_even_distances(drawn):
    (axes,) = drawn[2]["critical"].figure.axes
    ticks = axes.get_xticks()
    assert len(set(np.diff(ticks))) == 1
    assert ticks[0] == 1
    assert 2 <= len(ticks) <= 10
    lowest = max(text.xy[1] for text in axes.texts)
    assert axes.get_ylim()[0] - lowest <= 1  # no empty band


def test_nothing_finished_draws_nothing():
    cells = frame()
    missing = report_of(fail(cells, cells["key"].notna(), "missing"), figures=figure_names())
    assert not [figure for figure in make_figures(missing) if figure.figure is not None]


def test_the_order_is_the_studys():
    chosen = report_of(frame(), figures=("heatmap", "curves"))
    assert [figure.stem for figure in make_figures(chosen)] == ["heatmap", "curves"]


def test_a_caption_says_of_budgets_only_that_some_are_not_drawn():
    for figure in make_figures(report_of(frame(), ("spread", "heatmap", "tradeoff"))):
        assert "budgets" not in figure.caption
    many = report_of(frame(spcs=range(1, 9)), ("tradeoff", "cost"))
    drawn = "Drawn of 8 budgets: SPC 1, SPC 2, SPC 4, SPC 5, SPC 7, SPC 8."
    assert [figure.note.partition(": ")[2] for figure in make_figures(many)] == [drawn, drawn]


def test_the_axes_of_shares_end_near_the_data_and_within_0_and_100():
    cells = frame(("none", "ft", "anp", "ims"), seeds=(0, 1, 2))
    scores = {"none": (0.94, 1.0), "ft": (0.93, 0.4), "anp": (0.9, 0.0), "ims": (0.91, 0.2)}
    for defense, pair in scores.items():
        cells.loc[cells["defense"].eq(defense), ["acc", "asr"]] = pair
    (figure,) = make_figures(report_of(cells, ("tradeoff",)))
    for axes in figure.figure.axes:
        assert axes.get_xlim() == (0, 100)
        assert axes.get_ylim() == pytest.approx((89, 95))
        points = [line for line in axes.lines if len(line.get_xdata()) == 1]
        assert len(points) == 4
        assert not any(line.get_clip_on() for line in points), "none is cut at the edge"


def test_many_budgets_share_few_panels():
    (group,) = split_groups(frame())
    labels = [f"SPC {n}" for n in range(1, 18)]
    few = ["SPC 1", "SPC 4", "SPC 7", "SPC 11", "SPC 14", "SPC 17"]
    assert group.panel_budgets(labels) == few
    assert group.panel_budgets(labels[:6]) == labels[:6]
    assert group.panel_budgets([]) == []


def test_no_figure_takes_an_unclean_budget_for_the_largest():
    clean = frame(seeds=(0,))
    names = {"budget": clean["budget"] + ", blur", "key": clean["key"] + "/blur"}
    report = report_of(pd.concat([clean, clean.assign(**names, unclean="blur")]), ("tradeoff",))
    (group,) = report.groups
    assert group.budgets == ["SPC 2", "SPC 2, blur", "SPC 10", "SPC 10, blur"]
    assert group.panel_budgets(group.budgets, 1) == ["SPC 10"]
    assert group.largest(["SPC 2, blur", "SPC 10, blur"]) == "SPC 10, blur"
    (figure,) = make_figures(report)
    assert figure.alt.startswith("At SPC 10: ")
    assert figure.figure.axes[0].get_gridspec().get_geometry() == (2, 2)


def test_figures_of_fifty_methods_are_no_higher_than_a_page():
    methods, attacks = ([f"{kind}_{n:02}" for n in range(50)] for kind in ("method", "attack"))
    cells = frame(("none", *methods), (2, 5, 10, 20, 50), (0,), attacks[:9])
    several = pd.concat([cells, cells.assign(rate=0.01, victim=cells["victim"] + "/few")])
    keys = [f"{key}/{rate}" for key, rate in zip(several["key"], several["rate"], strict=True)]
    report = report_of(several.assign(key=keys), ("spread", "heatmap", "rates"))
    panels = {}
    for figure in make_figures(report):
        assert "Drawn of 5 budgets: SPC " in figure.caption
        assert figure.figure.get_figheight() <= TALLEST
        panels[figure.name] = len(figure.figure.axes)
    assert panels == {"spread": 3, "heatmap": 2 + 1, "rates": 3 * 3}, "fewer budgets than five"
    assert set(figure.data["budget"]) == set(report.groups[0].budgets), "the numbers have all"


def test_a_figure_of_very_many_cells_looks_into_some_of_every_defense(drawn, monkeypatch):
    _, report, _ = drawn
    monkeypatch.setattr(classes, "MAX_CELLS", 8)
    (figure,) = make_figures(replace(report, figures=("classes",)))
    counted = figure.data.groupby("defense")["n_cells"].max()
    assert set(counted.index) == set(report.frame["defense"])
    assert counted.sum() < len(report.frame) / 2
    assert f"{counted.sum()} of " in figure.caption

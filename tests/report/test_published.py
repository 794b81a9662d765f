"""Published numbers beside ours: matched by name, the others counted, bad files refused."""

from dataclasses import replace

import pandas as pd
import pytest
from matplotlib.figure import Figure

from harness.errors import UserError
from harness.plan.paper import Paper
from harness.report.figures.published import published
from harness.report.frame.published import BACKDOORBENCH, MATCHED, read_published
from harness.report.frame.report_data import ReportData
from harness.report.stats.published_means import SEPARATE, means_and_published
from harness.report.tables.architectures import architectures
from harness.report.tables.attacks import attacks
from harness.report.tables.published_numbers import published_numbers
from harness.report.typeset.render import markdown
from tests.helpers.synthetic_frames import frame, golden_frame

HEADER = "data,model,attack,rate,defense,acc,asr,ra\n"


MODEL = "digits,preactresnet18"
ATTACKS = {"badnets": 3, "blended": 8}
"""Published ASR of IMS."""


def report_of(frame, tmp_path, text, **options):
    file = tmp_path / "table.csv"
    file.write_text(text)
    return ReportData(frame=frame, victims=pd.DataFrame(), published_file=file, **options)


def test_backdoorbench_ships_with_its_board():
    table = pd.read_parquet(BACKDOORBENCH)
    assert len(table) == 10_214
    row = table.query(
        "data == 'cifar10' and model == 'preactresnet18' and attack == 'badnets' and "
        "rate == 0.1 and defense == 'ft'"
    )
    assert row[["acc", "asr"]].round(1).to_numpy().tolist() == [[90.0, 1.5]]
    assert table[["acc", "asr", "ra"]].notna().all().all()
    assert {"i_bau", "anp", "nc"} < set(table["defense"])


def test_means_stand_beside_their_published_numbers_and_the_others_are_counted(tmp_path):
    data = ReportData(frame=golden_frame(), victims=pd.DataFrame())
    counted = data.attacked[data.attacked["reason"].eq("")]
    cell = counted.iloc[0]
    line = ",".join(str(cell[name]) for name in ("data", "model", "attack", "rate", "defense"))
    report = report_of(golden_frame(), tmp_path, f"{HEADER}{line},91.5,3.25,80\n")
    compared = means_and_published(report.attacked, report.published)
    same = counted[(counted[MATCHED] == cell[MATCHED]).all(axis=1)]
    assert len(compared.rows) == len(same[SEPARATE].drop_duplicates())
    for row in compared.rows.to_dict("records"):
        ours = same[(same[SEPARATE] == pd.Series(row)[SEPARATE]).all(axis=1)]
        assert row["asr"] == pytest.approx(100 * ours["asr"].mean())
        assert (row["published_asr"], row["published_acc"]) == (3.25, 91.5)
    means = len(counted[SEPARATE].drop_duplicates())
    assert compared.without == means - len(compared.rows)
    shown = markdown(published_numbers(report).texts)
    assert "91.5" in shown
    assert f"{compared.without} of {means} means, which have no published counterpart" in shown
    group = next(group for group in report.groups if len(group.only(compared.rows)))
    drawing = published(group, report)
    assert isinstance(drawing.figure, Figure)
    assert "table.csv" in drawing.caption


@pytest.mark.parametrize("layout", ["panels", "list"])
def test_published_numbers_are_rows_of_the_attack_tables_where_a_paper_asks(tmp_path, layout):
    lines = [f"{MODEL},{attack},0.1,ims,90,{asr}," for attack, asr in ATTACKS.items()]
    lines.append(f"{MODEL},badnets,0.1,ft,80,7,")
    paper = Paper(published=True, layout=layout)
    report = report_of(golden_frame(), tmp_path, HEADER + "\n".join(lines) + "\n", paper=paper)
    texts = attacks(report).texts
    rows = [row for text in texts for section in text.sections for row in section.rows]
    shown = {row for row in rows if "published" in row[0]}
    if layout == "list":  # a section per attack, both budgets, one of which has them
        blank = ("", "", "")
        assert shown == {
            *(("ims published", *blank, "90.0", f"{asr:.1f}", "–") for asr in (3, 8, 5.5)),
            ("ft published", *blank, "80.0", "7.0", "–"),
        }
    else:
        ims = ("ims published", "90.0", "3.0", "–", "90.0", "8.0", "–", "90.0", "5.5", "–")
        assert shown == {ims, ("ft published", "80.0", "7.0", "–", *[""] * 6)}, "no mean of one"
        assert "published" not in texts[0].caption, "nothing of them is in the table of SPC 2"
    names = [row[0] for row in rows]
    assert names[names.index("ims published") - 1] == "ims"
    assert "table.csv" in texts[-1].caption
    plain = attacks(report_of(golden_frame(), tmp_path, HEADER))
    assert not any("published" in row[0] for text in plain.texts for row in text.sections[0].rows)


def test_published_numbers_are_rows_of_the_architectures_table_too(tmp_path):
    cells = frame(("none", "ft", "ims"), models=("preactresnet18", "vgg"), seeds=(0,))
    lines = [f"{MODEL},{attack},0.1,ims,90,{asr}," for attack, asr in ATTACKS.items()]
    lines.append("digits,vgg,badnets,0.1,ims,80,7,")
    paper = Paper(published=True, metrics=("acc", "asr"))
    report = report_of(cells, tmp_path, HEADER + "\n".join(lines) + "\n", paper=paper)
    (table,) = architectures(report).texts
    assert [column for column, _ in table.spans[1:]] == [
        f"{model}, SPC {spc}" for model in ("preactresnet18", "vgg") for spc in (2, 10)
    ]
    rows = {section.label: {row[0]: row[1:] for row in section.rows} for section in table.sections}
    assert {label: section["ims published"] for label, section in rows.items()} == {
        "badnets": ("", "", "90.0", "3.0", "", "", "80.0", "7.0"),
        "blended": ("", "", "90.0", "8.0", "", "", "", ""),
        "mean": ("", "", "90.0", "5.5", "", "", "", ""),  # none of vgg, which lacks an attack
    }
    names = list(rows["badnets"])
    assert names[names.index("ims published") - 1] == "ims"
    assert "table.csv" in table.caption
    (plain,) = architectures(replace(report, paper=Paper())).texts
    assert not any("published" in row[0] for section in plain.sections for row in section.rows)


def test_a_report_without_counterparts_has_neither_table_nor_figure(tmp_path):
    report = report_of(golden_frame(), tmp_path, HEADER + "x,y,z,0.1,ft,90,1,\n")
    assert published_numbers(report) is None
    assert all(published(group, report) is None for group in report.groups)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data,model,attack,rate,acc,asr\n", "no column 'defense'"),
        (HEADER + "a,b,c,0.1,ft,90,1,\na,b,c,0.1,ft,90,2,\n", "line 3 repeats an earlier one"),
        (HEADER + "a,b,c,0.1,ft,high,1,\n", "line 2: acc is 'high'; a number from 0 to 100"),
        (HEADER + "a,b,c,10,ft,90,1,\n", "line 2: rate is '10'; a number from 0 to 1"),
        (HEADER + "a,b,c,0.1,ft,90,-1,\n", "line 2: asr is '-1'"),
        ("", "No columns"),
    ],
)
def test_a_table_that_says_nothing_is_refused_in_one_line(tmp_path, text, message):
    file = tmp_path / "table.csv"
    file.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        read_published(file)
    assert str(caught.value).startswith(f"--published {file}: ")

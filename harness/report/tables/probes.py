"""What probes found: how much of the backdoor is left in every defense's models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from harness.report import TableContents, table
from harness.report.frame.groups import BOARD_SECTIONS, GROUP, BoardGroup, section_label
from harness.report.frame.metric_info import number, percent
from harness.report.frame.probes import ProbeColumn
from harness.report.frame.report_data import ReportData
from harness.report.stats.means import summarize
from harness.report.tables.leaderboard import all_board_numbers
from harness.report.typeset.captions import left_out_text, spread_text, with_spread
from harness.report.typeset.table import Row, Section, TextTable

CONTROL = "clean model"
CAPTION = (
    f"Percent, means over victims{{spread}}. The defense none is the victim itself; {CONTROL}: one "
    "that never had a backdoor, under the same probe. n: models probed of those planned; a number "
    "that fewer of them have says how many. What a number means is in the list of probes (defuse "
    "list probes)."
)


@table
def probes(report: ReportData) -> TableContents | None:
    """Return, per group, the first number of every probe, and a table per probe of all numbers."""
    columns = report.probe_columns
    if not columns or not report.groups:
        return None
    quantities = {column.name: column.quantity for column in columns}
    by = [*GROUP, "budget", "defense"]
    numbers = summarize(report.attacked, by, list(quantities), quantities=quantities)
    texts = []
    boards = zip(report.groups, report.once(all_board_numbers), strict=True)
    for group, board in boards:
        order = board["defense"].drop_duplicates().tolist()
        of_group = _of_group(numbers, group)
        firsts = [column for column in columns if column.first]
        titles = [("Probes", firsts)] if len(firsts) > 1 else []
        for probe in dict.fromkeys(column.probe for column in columns):
            name = report.names.of("probe", probe)
            titles.append((name, [column for column in columns if column.probe == probe]))
        for title, shown in titles:
            texts.append(_table(f"{group.title}: {title}", group, of_group, order, shown, report))
    return TableContents(texts=texts, numbers=numbers)


def _of_group(numbers: pd.DataFrame, group: BoardGroup) -> pd.DataFrame:
    head = group.frame.iloc[0]
    return numbers[(numbers[GROUP] == head[GROUP]).all(axis="columns")]


def _table(
    title: str,
    group: BoardGroup,
    numbers: pd.DataFrame,
    order: Sequence[str],
    columns: Sequence[ProbeColumn],
    report: ReportData,
) -> TextTable:
    rows_of = {
        key: rows.set_index("metric") for key, rows in numbers.groupby(["budget", "defense"])
    }
    sections = [Section(label="control", rows=[_control_row(group, columns, report)])]
    for budget in group.budgets:
        for access in BOARD_SECTIONS:
            rows = [
                _row(group.names.of("defense", defense), rows_of[budget, defense], columns)
                for defense in order
                if (budget, defense) in rows_of and group.extra_access.get(defense, "") == access
            ]
            if rows:
                sections.append(Section(label=section_label(budget, access), rows=rows))
    texts = [cell for section in sections for row in section.rows for cell in row[1:]]
    spread = spread_text(group.frame, texts)
    return TextTable(
        title=title,
        header=("defense", *_labels(columns, report), "n"),
        sections=sections,
        caption=CAPTION.format(spread=f"; {spread}" if spread else ""),
        left_out=left_out_text(group.frame),
    )


def _labels(columns: Sequence[ProbeColumn], report: ReportData) -> Iterator[str]:
    """Yield the label of every number, with the probe's name where two have the same."""
    labels = [column.quantity.label for column in columns]
    for label, column in zip(labels, columns, strict=True):
        name = report.names.of("probe", column.probe)
        yield f"{label}, {name}" if labels.count(label) > 1 else label


def _row(name: str, rows: pd.DataFrame, columns: Sequence[ProbeColumn]) -> Row:
    """Return the numbers of a defense, and on how many models they stand."""
    numbers = [rows.loc[column.name].to_dict() for column in columns]
    most = max(x["n_cells"] for x in numbers)
    texts = (
        with_spread(x, column.quantity) + _fewer(x["n_cells"], most)
        for x, column in zip(numbers, columns, strict=True)
    )
    return (name, *texts, f"{most}/{numbers[0]['n_planned']}")


def _fewer(n: int, most: int) -> str:
    return f", n {n}" if 0 < n < most else ""


def _control_row(group: BoardGroup, columns: Sequence[ProbeColumn], report: ReportData) -> Row:
    """Return the means of the controls over the victims that count."""
    victims = group.frame.loc[group.frame["reason"].ne("gate"), "victim"]
    controls = report.controls
    of_group = controls[controls["victim"].isin(set(victims))]
    means, counts = (
        {column.name: of(of_group[column.name]) for column in columns}
        for of in (pd.Series.mean, pd.Series.count)
    )
    most = max(counts.values())
    texts = (
        (percent(means[x.name]) if x.quantity.share else number(means[x.name], 2))
        + _fewer(counts[x.name], most)
        for x in columns
    )
    return (CONTROL, *texts, f"{most}/{len(victims.unique())}")

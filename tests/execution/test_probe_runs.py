"""Probes in a study: planned, run alone on a finished one, repeated bit for bit, reported."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from harness.errors import UserError
from harness.execution.durations import forecast_of
from harness.plan.study import Study
from harness.report.frame.frame import build_frame
from harness.report.frame.report_data import load_report_data
from harness.report.outputs import make_tables
from harness.store.record import CellRecord, ProbeRecord
from harness.store.store import store_of
from tests.helpers import tiny_study
from tests.helpers.timed_study import latest_of

PROBES = ["drift", {"retune": {"draws": 1}}]
DEFENSES = ["none", {"ft": {"epochs": 2}}, {"oracle": {"epochs": 20}}]
QUICK = {"recipe": {"fast": {"epochs": 3}}, "gate": {"asr": 0.5, "acc_margin": 1.0}}


def study_file(folder, **changes):
    return tiny_study.write_study(folder, defenses=DEFENSES, **QUICK, **changes)


def probe_records(latest):
    return {key: record for key, record in latest.items() if isinstance(record, ProbeRecord)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study that was run without probes and then with them, and one that had them at once."""
    folder = tmp_path_factory.mktemp("probes")
    plain, probed = study_file(folder / "plain"), study_file(folder / "probed", probes=PROBES)
    before = tiny_study.run(plain, folder / "later")
    after = tiny_study.run(probed, folder / "later")
    at_once = tiny_study.run(probed, folder / "at once", workers=2)
    return folder, probed, before, after, at_once


def test_every_model_and_its_controls_are_probed(finished):
    study: Study = tiny_study.load(finished[1])
    assert len(study.probe_runs) == len(PROBES) * (len(DEFENSES) + 1)
    assert {run.key for run in study.probe_runs} == set(probe_records(finished[3]))
    assert all(record.status == "ok" for record in finished[3].values())


def test_a_probe_added_to_a_finished_study_runs_alone(finished):
    _, _, before, after, _ = finished
    assert {key: after[key].finished for key in before} == {
        key: record.finished for key, record in before.items()
    }
    added = set(after) - set(before)
    assert {after[key].kind for key in added} == {"probe"}


def test_a_defense_that_was_not_kept_is_repeated_bit_for_bit(finished):
    _, _, _, later, at_once = finished
    first, second = probe_records(later), probe_records(at_once)
    assert first.keys() == second.keys()
    for key, record in first.items():
        assert record.result.numbers == second[key].result.numbers, record.name
        assert record.result.repeated == (record.spec.cell is not None)
        assert not second[key].result.repeated


def test_a_defense_that_is_repeated_counts_once_in_the_time_that_is_left(finished):
    _, probed, before, _, at_once = finished
    study: Study = tiny_study.load(probed)
    forecast = forecast_of(study, study.probe_runs, latest_of(*before.values()))
    assert {cell.defense.name for cell in forecast.repeated.values()} == {"none", "ft", "oracle"}
    cell = next(cell for cell in study.cells if cell.defense.name == "ft")
    first, second = (run for run in study.probe_runs if run.cell == cell)
    of_defense = forecast.expected_seconds(cell)
    left, with_defense = forecast.remaining_seconds(), forecast.expected_seconds(first)
    forecast.finish(second)
    assert forecast.expected_seconds(first) == pytest.approx(with_defense - of_defense)
    own = forecast.expected_seconds(second)
    assert forecast.remaining_seconds() == pytest.approx(left - own - of_defense)
    kept = forecast_of(study, study.probe_runs, latest_of(*at_once.values())).repeated.values()
    assert "ft" not in {cell.defense.name for cell in kept}


def test_the_keys_of_cells_do_not_know_of_probes(finished):
    folder, probed, *_ = finished
    plain = tiny_study.load(folder / "plain" / "small.yaml")
    assert [x.key for x in plain.cells] == [x.key for x in tiny_study.load(probed).cells]


def test_what_drifts_from_its_record_is_not_probed(finished, tmp_path):
    folder, probed, before, *_ = finished
    store = store_of(tmp_path)
    source = store_of(folder / "later")
    store.artifacts_folder.parent.mkdir(parents=True)
    store.artifacts_folder.symlink_to(source.artifacts_folder)
    other = next(x for x in before.values() if isinstance(x, CellRecord) and "oracle" in x.name)
    for record in before.values():
        changed = record
        if isinstance(record, CellRecord) and "/ ft" in record.name:
            artifacts = other.result.artifacts  # predictions of another defense
            changed = replace(record, result=replace(record.result, artifacts=artifacts))
        store.append(changed)
    latest = probe_records(tiny_study.run(probed, tmp_path))
    failed = [record for record in latest.values() if record.status != "ok"]
    assert {record.name.split(" / ")[5] for record in failed} == {"ft"}
    assert all("predicts" in record.error for record in failed)


def test_the_report_compares_with_the_clean_model(finished):
    folder, probed, _, latest, _ = finished
    report = load_report_data([tiny_study.load(probed)], store_of(folder / "later"))
    control, own = (
        next(
            record.result.numbers["p_asr"]
            for record in probe_records(latest).values()
            if record.spec.probe.name == "retune" and word in record.name
        )
        for word in ("clean model", "/ none / SPC")
    )
    row = report.frame[report.frame["defense"].eq("none")].iloc[0]
    assert row["retune.excess"] == pytest.approx(own - control)
    texts = make_tables(report)["probes"].texts
    assert [text.title.partition(": ")[2] for text in texts] == ["Probes", "drift", "re-tuning"]
    assert texts[0].header == ("defense", "drift", "P-ASR excess", "n")
    assert [section.rows[0][-1] for section in texts[0].sections] == ["1/1"] * 3
    assert [section.label for section in texts[0].sections] == [
        "control",
        "SPC 2",
        "SPC 2 · oracle",
    ]


def test_a_record_without_a_number_of_today_is_shown_with_what_it_has(finished):
    """Numbers that were declared later, or are undefined for a model: the others stay, with n."""
    folder, probed, *_ = finished
    study, store = tiny_study.load(probed), store_of(folder / "later")
    records = store.latest()
    (run,) = (
        run
        for run in study.probe_runs
        if run.probe.name == "retune" and run.cell and run.cell.defense.name == "none"
    )
    old = records.probe(run.key)
    kept = {name: x for name, x in old.result.numbers.items() if name != "p_asr"}
    records.add(replace(old, result=replace(old.result, numbers=kept)))
    frame = build_frame([study], records)
    row = frame[frame["defense"].eq("none")].iloc[0]
    assert row[["retune.p_asr", "retune.excess"]].isna().all()
    assert row["retune.acc"] == kept["acc"]


def test_a_probe_of_the_model_does_without_the_masks_that_were_kept(tmp_path):
    """As after a merge of records alone: the defense is run again, and its masks are not missed."""
    plain = tiny_study.write_study(tmp_path / "plain", defenses=["clp"], **QUICK)
    before, out = tiny_study.run(plain, tmp_path / "out"), tmp_path / "out"
    (cell,) = [record for record in before.values() if isinstance(record, CellRecord)]
    store_of(out).path_of(cell.result.artifacts.method).unlink()
    probed = tiny_study.write_study(
        tmp_path / "probed", defenses=["clp"], probes=["drift", "pruning"], **QUICK
    )
    after = probe_records(tiny_study.run(probed, out))
    (drift, pruning) = (
        next(x for x in after.values() if f"/ {name} / " in f"{x.name} / " and x.spec.cell)
        for name in ("drift", "pruning")
    )
    assert (drift.status, drift.result.repeated) == ("ok", True)
    assert pruning.status == "error"
    assert "cannot be read" in pruning.error


def test_a_probe_of_a_cell_that_failed_says_so(tmp_path):
    (tmp_path / "breaks.py").write_text(
        "from harness.contract import NoHyper, defense\n"
        "@defense(paper='', year=2026, family='control')\n"
        "def breaks(model, budget, hyper, ctx):\n    raise ValueError('no')\n"
    )
    path = tiny_study.write_study(
        tmp_path, defenses=["./breaks.py"], probes=["tac"], gate={"acc": 0.0, "acc_margin": 1.0}
    )
    latest = tiny_study.run(path, tmp_path / "out")
    statuses = {r.name.split(" / ")[5]: (r.status, r.error) for r in probe_records(latest).values()}
    assert statuses["clean model"][0] == "ok"
    assert statuses["breaks"] == ("error", "its cell failed: ValueError: no")


def test_a_wrong_probe_is_one_line_with_the_nearest_name(tmp_path):
    path = tiny_study.write_study(tmp_path, probes=["retoon", {"retune": {"draw": 2}}])
    with pytest.raises(UserError) as error:
        tiny_study.load(path)
    assert "unknown probe 'retoon'; did you mean 'retune'?" in str(error.value)
    assert "unknown key 'draw'; did you mean 'draws'?" in str(error.value)

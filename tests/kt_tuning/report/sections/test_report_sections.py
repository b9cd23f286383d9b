from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from kt_tuning.ensembling import CombinationRecord
from kt_tuning.report import sections
from kt_tuning.report.load import load_run
from kt_tuning.report.summary import RunSummary


@pytest.fixture
def run(shared_run: Path) -> RunSummary:
    return load_run(shared_run)


def _rows(section: Element | None, table: int = 0) -> list[list[str]]:
    assert section is not None
    body = section.findall(".//tbody")[table]
    return [["".join(cell.itertext()) for cell in row] for row in body]


def test_scores_have_their_interval(run: RunSummary) -> None:
    section = sections.scores_section(run)
    rows = _rows(section)
    assert ["F1", "0.6987", "0.6550 to 0.7400"] in rows
    assert ["Undefined", "–", "–"] in rows
    assert _rows(section, table=1) == [
        ["Parameters", "412,345"],
        ["Latency, p50", "4.22 ms"],
        ["Latency, p95", "6.83 ms"],
    ]


def test_members_show_weight_and_score(make_summary) -> None:
    ensemble = CombinationRecord(
        ("0000", "0001"), (0.25, 0.75), "greedy", {"mean": 0.7, "greedy": 0.6}, (0.1, 0.9)
    )
    section = sections.ensemble_section(make_summary([0.1, 0.9], ensemble=ensemble))
    assert _rows(section) == [
        ["Trial 1", "75.0%", "0.9000", "1,000"],
        ["Trial 0", "25.0%", "0.1000", "1,000"],
    ]
    assert _rows(section, table=1) == [["greedy (chosen)", "0.6000"], ["mean", "0.7000"]]
    assert section is not None
    assert [bar.get("style") for bar in section.iter("i")] == ["width: 75.0%", "width: 25.0%"]


def test_a_single_winner_is_explained(make_summary) -> None:
    ensemble = CombinationRecord(("0000",), (1.0,), "single", {"single": 0.5}, (0.1,))
    section = sections.ensemble_section(make_summary([0.1], ensemble=ensemble))
    assert section is not None
    assert "so the winner is that single model" in "".join(section.itertext())


def test_winner_values_have_a_dash_where_not_active(make_summary) -> None:
    ensemble = CombinationRecord(("0000", "0001"), (0.6, 0.4), "mean", {}, (0.1, 0.9))
    values = [{"depth": 2}, {"depth": 3, "rate": 0.25}]
    run = make_summary([0.1, 0.9], values=values, ensemble=ensemble)
    assert _rows(sections.hyperparameters_section(run)) == [
        ["depth", "2", "3"],
        ["rate", "–", "0.25"],
    ]


def test_trials_are_listed_best_first_and_failed_last(run: RunSummary) -> None:
    rows = _rows(sections.trials_section(run))
    scores = [float(row[2]) for row in rows[:-1]]
    assert scores == sorted(scores, reverse=True)
    assert len(rows) == 12
    assert rows[-1][0] == "4"
    assert rows[-1][1].startswith("failed")
    assert rows[-1][2:6] == ["–", "–", "–", "–"]


def test_a_loss_is_best_when_small(make_summary) -> None:
    rows = _rows(sections.trials_section(make_summary([0.3, 0.1, 0.2], direction="min")))
    assert [row[0] for row in rows] == ["1", "2", "0"]


def test_every_metric_has_a_column_that_sorts_as_a_number(run: RunSummary) -> None:
    section = sections.trials_section(run)
    assert section is not None
    titles = ["".join(header.itertext()) for header in section.iter("th")]
    assert titles[2:5] == ["Accuracy", "Balanced accuracy", "F1"]
    assert titles[7:9] == ["Loss", "Training accuracy"]
    row = section.findall(".//tbody/tr")[0]
    best = run.best
    assert best is not None
    assert float(row[2].get("data-value", "")) == best.score
    failed = section.findall(".//tbody/tr")[-1]
    assert failed[2].get("data-value") == ""


def test_members_are_marked_as_winners(run: RunSummary) -> None:
    section = sections.trials_section(run)
    assert section is not None
    chosen = [row for row in section.iter("tr") if row.get("class") == "chosen"]
    assert {row.get("id") for row in chosen} == {
        f"trial-{trial.record.number}" for trial, _ in run.members
    }


def test_best_epoch_is_counted_from_one(make_summary) -> None:
    assert _rows(sections.trials_section(make_summary([0.5])))[0][3:5] == ["2", "3"]


def test_a_long_message_is_folded(run: RunSummary) -> None:
    section = sections.trials_section(run)
    assert section is not None
    texts = [summary.text for summary in section.iter("summary")]
    assert "OOM at <b>conv2d</b> & more: <script>alert(1)</script>" in texts
    assert "stopped early: no better for 4 epochs" not in texts


def test_reproduce_tells_how_to_load_the_newest_export(run: RunSummary) -> None:
    section = sections.reproduce_section(run)
    code = "\n".join("".join(node.itertext()) for node in section.iter("pre"))
    assert 'tf.saved_model.load("export/10")' in code
    assert "(images, 32, 32, 3)" in code
    assert "kt-tuning predict export/10 cat.jpg" in code
    assert ["Seed", "1"] in _rows(section)
    assert ["Time limit", "10 min 00 s"] in _rows(section)
    assert ["keras", "3.15.0"] in _rows(section, table=1)


def test_sections_without_content_are_left_out(make_summary) -> None:
    run = make_summary([])
    assert sections.confusion_section(run) is None
    assert sections.ensemble_section(run) is None
    assert sections.history_section(run) is None
    assert sections.curves_section(run) is None
    assert sections.hyperparameters_section(run) is None
    assert sections.trials_section(run) is None

from __future__ import annotations

import dataclasses
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
import pytest

from kt_tuning.ensembling import EnsembleRecord, measure_diversity
from kt_tuning.evaluation import bias_variance
from kt_tuning.evaluation.explanations import Gallery, Picture
from kt_tuning.evaluation.selection_bias import EPOCH_CAVEAT
from kt_tuning.report.page import SECTIONS, render_section
from kt_tuning.report.run_summary import Repeats, RunSummary, load_run


@pytest.fixture
def run(shared_run: Path) -> RunSummary:
    return load_run(shared_run)


def rendered(key: str, run: RunSummary) -> Element | None:
    """A section as a tree; None if it is left out."""
    content = render_section(run, key)
    return ElementTree.fromstring(f"<section>{content}</section>") if content else None


def _rows(section: Element | None, table: int = 0) -> list[list[str]]:
    assert section is not None
    body = section.findall(".//tbody")[table]
    return [["".join(cell.itertext()).strip() for cell in row] for row in body]


def _text(section: Element | None) -> str:
    assert section is not None
    return "".join(section.itertext())


def test_scores_have_their_interval(run: RunSummary) -> None:
    section = rendered("scores", run)
    rows = _rows(section)
    assert ["F1", "0.6987", "0.6550 to 0.7400"] in rows
    assert ["Undefined", "–", "–"] in rows
    assert ["Train", "0.7000 (0.6500 to 0.7500)"] in _rows(section, table=1)
    assert ["Gap, train to validation", "0.2500 (0.2000 to 0.3000)"] in _rows(section, table=1)


def test_cost_is_what_was_measured(run: RunSummary) -> None:
    rows = _rows(rendered("cost", run))
    for row in (
        ["Parameters", "412,345"],
        ["Weights in memory", "1.6 MB"],
        ["Multiply-adds per image", "41.3 M"],
        ["Latency of one image, p50", "4.22 ms"],
        ["Latency of one image, p99", "9.10 ms"],
        ["Throughput, in batches of 32", "1.2 k images/s"],
    ):
        assert row in rows
    assert _rows(rendered("cost", run), table=1)[-1] == ["32", "1,234"]


def test_cost_without_the_part_has_size_and_latency(run: RunSummary) -> None:
    assert run.scores is not None
    section = rendered(
        "cost", dataclasses.replace(run, scores=dataclasses.replace(run.scores, cost=None))
    )
    assert ["Latency of one image, p50", "4.22 ms"] in _rows(section)
    assert "not been measured yet: run kt-tuning evaluate" in _text(section)


def test_robustness_has_the_worst_corruption_first(run: RunSummary) -> None:
    section = rendered("robustness", run)
    rows = _rows(section)
    # 0.8 of the losses 0.9 to 0.5, less 0.06: 0.66, 0.58, 0.5, 0.42, 0.34
    assert rows[0] == ["Pixelate", "0.6600", "0.5800", "0.5000", "0.4200", "0.3400", "0.5000"]
    assert [row[0] for row in rows] == ["Pixelate", "Fog", "Zoom blur", "Gaussian noise"]
    assert "0.0000 under a PGD attack of 8/255" in _text(section)
    assert section is not None
    # 0.34 of 0.8 are left: 57.5% are lost, of 70
    assert "40%" in section.findall(".//tbody/tr")[0][5].get("style", "")


def test_robustness_says_how_to_measure_it(run: RunSummary) -> None:
    assert run.scores is not None
    scores = dataclasses.replace(run.scores, robustness=None)
    section = rendered("robustness", dataclasses.replace(run, scores=scores))
    assert "not been measured yet: run kt-tuning evaluate" in _text(section)


def test_the_hardest_classes_come_first(run: RunSummary) -> None:
    areas = [float(row[1]) for row in _rows(rendered("curves", run))]
    assert areas == sorted(areas)
    assert len(areas) == 7


def test_pictures_have_alternatives_and_captions(run: RunSummary) -> None:
    section = rendered("gallery", run)
    assert section is not None
    images = list(section.iter("img"))
    assert len(images) == 2 * 4
    assert images[-2].get("alt") == "Image 0: <script>alert(1)</script>"
    captions = ["".join(caption.itertext()) for caption in section.iter("figcaption")]
    assert captions[-1] == "<script>alert(1)</script> predicted correctly, confidence 90.0%"
    assert "predicted as" in captions[0]


def test_a_picture_that_would_be_fetched_is_not_shown(run: RunSummary) -> None:
    spy = Picture(0, 0, 0, 0.5, "https://example.org/spy.png", "javascript:alert(1)")
    section = rendered("gallery", dataclasses.replace(run, gallery=Gallery("grad_cam", (), (spy,))))
    assert section is not None
    assert {image.get("src") for image in section.iter("img")} == {"data:,"}


def test_what_was_pruned_and_what_failed_and_why(run: RunSummary) -> None:
    assert _rows(rendered("trials", run), table=1) == [
        ["failed", "1", "OOM at <b>conv2d</b> & more: <script>alert(1)</script>", "4"],
        ["pruned", "1", "pruned after epoch 6: not among the best third", "5"],
    ]


def test_gain_and_diversity_of_an_ensemble(make_summary) -> None:
    labels = np.array([0, 1, 0, 1])
    members = np.array(
        [
            [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.6, 0.4]],
            [[0.6, 0.4], [0.6, 0.4], [0.9, 0.1], [0.2, 0.8]],
        ]
    )
    ensemble = EnsembleRecord(
        ("0000", "0001"),
        (0.5, 0.5),
        "mean",
        {"single": 0.6, "mean": 0.45},
        (0.75, 0.75),
        errors={"single": 0.02, "mean": 0.0},
        diversity=measure_diversity(members, labels, [0.5, 0.5]),
    )
    section = rendered("model", make_summary([0.75, 0.75], ensemble=ensemble))
    assert "Gain over the best single model: 0.1500 in log-loss (nats)" in _text(section)
    assert "with a standard error of 0.0200" in _text(section)
    assert f"Both scores are still optimistic: {EPOCH_CAVEAT}." in _text(section)
    # each is wrong on one row where the other is right
    assert _rows(section, table=2)[0] == ["Disagreement: only one of the two is correct", "0.5000"]


def test_what_an_ensemble_costs(make_summary) -> None:
    ensemble = EnsembleRecord(
        ("0000", "0001"), (0.5, 0.5), "mean", {}, (0.7, 0.7), costs=(3e6, 4e6), single_cost=2e6
    )
    text = _text(rendered("model", make_summary([0.7, 0.7], ensemble=ensemble)))
    assert "3.5 times as much to serve as the best single model, measured by parameters." in text
    assert "mirror" not in text
    mirrored = dataclasses.replace(ensemble, mirrored=(True, False))
    text = _text(rendered("model", make_summary([0.7, 0.7], ensemble=mirrored)))
    assert "which count twice where mirror images are predicted." in text
    assert "The prediction of some members is the mean over an image and its mirror image" in text
    unknown = dataclasses.replace(ensemble, costs=(), single_cost=None)
    text = _text(rendered("model", make_summary([0.7, 0.7], ensemble=unknown)))
    assert "as much to serve" not in text


def test_what_was_trained_again(run: RunSummary) -> None:
    assert _rows(rendered("repeated", run)) == [
        ["bag", "2", "8,000", "0.6250 log-loss (nats)", "not measured"]
    ]
    judged = dataclasses.replace(run.again[0], scores=run.scores)
    (row,) = _rows(rendered("repeated", dataclasses.replace(run, again=(judged,))))
    assert run.scores is not None
    assert row[-1] == f"{100 * run.scores.metrics['accuracy'].value:.1f}%"


def test_bias_and_variance_of_trainings(make_summary) -> None:
    # Three trainings of two images: a squared error of 2 (1 - p)^2 each, and of their mean.
    of_truth = np.array([[0.9, 0.6], [0.6, 0.9], [0.6, 0.3]])
    losses = bias_variance(np.stack([of_truth, 1 - of_truth], axis=2), [0, 0])
    run = make_summary([0.7], repeats=(Repeats("the best trial", 3, losses),))
    rows = _rows(rendered("repeated", run))
    # (0.01 + 0.16 + 0.16 + 0.01 + 0.16 + 0.49) / 3, and 0.3^2 + 0.4^2
    assert rows[1] == ["", "Squared error (Brier)", "0.3300", "0.2500", "0.0800"]
    # One of six is wrong, and none by the vote.
    first = ["3 trainings of the best trial", "Error rate", "0.1667", "0.0000", "0.1667"]
    assert rows[0] == first


def test_nothing_was_trained_again(make_summary) -> None:
    assert rendered("repeated", make_summary([0.7])) is None


def test_exports_have_size_time_and_accuracy(run: RunSummary) -> None:
    assert _rows(rendered("exports", run)) == [
        ["export/10 (saved_model)", "2.50", "1.20", "1.50", "0.7100", "100.00%", "2.5e-07"]
    ]
    assert rendered("exports", dataclasses.replace(run, exports=())) is None


def test_members_show_weight_and_score(make_summary) -> None:
    ensemble = EnsembleRecord(
        ("0000", "0001"), (0.25, 0.75), "greedy", {"mean": 0.7, "greedy": 0.6}, (0.1, 0.9)
    )
    section = rendered("model", make_summary([0.1, 0.9], ensemble=ensemble))
    assert _rows(section) == [
        ["Trial 1", "75.0%", "0.9000", "1,000"],
        ["Trial 0", "25.0%", "0.1000", "1,000"],
    ]
    assert _rows(section, table=1) == [["greedy (chosen)", "0.6000"], ["mean", "0.7000"]]
    assert section is not None
    assert [bar.get("style") for bar in section.iter("i")] == ["width: 75.0%", "width: 25.0%"]


def test_a_single_member_is_explained(make_summary) -> None:
    ensemble = EnsembleRecord(("0000",), (1.0,), "single", {"single": 0.5}, (0.1,))
    section = rendered("model", make_summary([0.1], ensemble=ensemble))
    assert section is not None
    assert "no combination was enough better to be worth its cost" in _text(section)


def test_values_of_members_have_a_dash_where_not_active(make_summary) -> None:
    ensemble = EnsembleRecord(("0000", "0001"), (0.4, 0.6), "mean", {}, (0.1, 0.9))
    values = [{"depth": 2}, {"depth": 3, "rate": 0.25}]
    run = make_summary([0.1, 0.9], values=values, ensemble=ensemble)
    assert _rows(rendered("model", run), table=1) == [
        ["depth", "3", "2"],
        ["rate", "0.25", "–"],
    ]


def test_trials_are_listed_best_first_and_failed_last(run: RunSummary) -> None:
    rows = _rows(rendered("trials", run))
    scores = [float(row[2]) for row in rows[:-1]]
    assert scores == sorted(scores, reverse=True)
    assert len(rows) == 12
    assert rows[-1][0] == "4"
    assert rows[-1][1].startswith("failed")
    assert rows[-1][2:6] == ["–", "–", "–", "–"]


def test_a_loss_is_best_when_small(make_summary) -> None:
    rows = _rows(rendered("trials", make_summary([0.3, 0.1, 0.2], direction="min")))
    assert [row[0] for row in rows] == ["1", "2", "0"]


def test_every_metric_has_a_column_that_sorts_as_a_number(run: RunSummary) -> None:
    section = rendered("trials", run)
    assert section is not None
    titles = ["".join(header.itertext()) for header in section.iter("th")]
    assert titles[2:5] == ["Accuracy", "Balanced accuracy", "F1"]
    assert titles[7:9] == ["Loss", "Training accuracy"]
    row = section.findall(".//tbody/tr")[0]
    best = run.best
    assert best is not None
    assert float(row[2].get("data-value", "")) == best.metrics[run.search.objective]
    failed = section.findall(".//tbody")[0][-1]
    assert failed[2].get("data-value") == ""


def test_members_are_marked(run: RunSummary) -> None:
    section = rendered("trials", run)
    assert section is not None
    chosen = [row for row in section.iter("tr") if row.get("class") == "chosen"]
    assert {row.get("id") for row in chosen} == {
        f"trial-{trial.number}" for trial, _ in run.weighted_trials
    }


def test_best_epoch_is_counted_from_one(make_summary) -> None:
    assert _rows(rendered("trials", make_summary([0.5])))[0][3:5] == ["2", "3"]


def test_a_long_message_is_folded(run: RunSummary) -> None:
    section = rendered("trials", run)
    assert section is not None
    texts = [summary.text for summary in section.iter("summary")]
    assert "OOM at <b>conv2d</b> & more: <script>alert(1)</script>" in texts
    assert "stopped early: no better for 4 epochs" not in texts


def test_reproduce_tells_how_to_load_the_newest_export(run: RunSummary) -> None:
    section = rendered("reproduce", run)
    code = "\n".join("".join(node.itertext()) for node in section.iter("pre"))
    assert 'tf.saved_model.load("export/10")' in code
    assert "(images, 32, 32, 3)" in code
    assert "kt-tuning predict export/10 cat.jpg" in code
    assert ["Seed", "1"] in _rows(section)
    assert ["Time limit", "10 min 00 s"] in _rows(section)
    assert ["keras", "3.15.0"] in _rows(section, table=1)


@pytest.mark.parametrize("key", [key for key in SECTIONS if key not in ("scores", "reproduce")])
def test_sections_without_content_are_left_out(make_summary, key: str) -> None:
    assert rendered(key, make_summary([])) is None


def test_the_best_trial_is_told_apart_from_the_final_model(make_summary) -> None:
    ensemble = EnsembleRecord(("0000",), (1.0,), "single", {}, (0.1,))
    run = make_summary([0.1, 0.9], values=[{"depth": 2}, {"depth": 3}], ensemble=ensemble)
    best = rendered("best-trial", run)
    assert "Trial 1 has the best validation accuracy" in _text(best)
    assert "It is not part of the final model" in _text(best)
    assert _rows(best) == [["depth", "3"]]
    assert _rows(rendered("model", run), table=1) == [["depth", "2"]]


def test_values_of_the_best_trial_are_shown_once(make_summary) -> None:
    run = make_summary([0.1, 0.9], values=[{"depth": 2}, {"depth": 3}])
    assert "the only member of the final model" in _text(rendered("best-trial", run))
    assert "Hyperparameters" not in _text(rendered("model", run))


def test_a_small_learning_rate_is_no_zero(make_summary) -> None:
    run = make_summary([0.5])
    trial = run.trials[0]
    metrics = {"val_accuracy": 0.5, "learning_rate": 3.21e-6}
    small = dataclasses.replace(run, trials=(dataclasses.replace(trial, metrics=metrics),))
    assert _rows(rendered("trials", small))[0][2:4] == ["0.5000", "3.21e-06"]


def test_the_most_important_slices_are_open_and_the_others_folded(make_summary) -> None:
    rng = np.random.default_rng(0)
    rows = [{f"h{index}": float(rng.random()) for index in range(10)} for _ in range(20)]
    scores = [row["h9"] for row in rows]
    section = rendered("slices", make_summary(scores, values=rows))
    assert section is not None
    shown, folded = section.findall("div"), section.findall("details/div")
    assert [len(grid) for grid in (*shown, *folded)] == [8, 2]
    first = shown[0].find(".//svg")
    assert first is not None
    assert "against h9" in first.get("aria-label", "")


def test_few_trials_do_not_tell_what_matters(make_summary) -> None:
    values = [{"filters": 8}, {"filters": 16}]
    section = rendered("search", make_summary([0.1, 0.9], values=values))
    assert "needs at least 6 trials that have a score" in _text(section)

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kt_tuning import ImageData, summaries
from kt_tuning.core.records import TrialRecord
from kt_tuning.evaluation import Interval, Scores
from kt_tuning.evaluation.forecast import Forecast
from kt_tuning.pipeline import RunOutcome

DONE = TrialRecord("0", 0, "COMPLETED", {}, {"val_accuracy": 0.75}, 3, 4, 61.0, 10)


def trial(status, message=None):
    return dataclasses.replace(DONE, status=status, message=message)


def images(counts, channels=3):
    labels = np.repeat(np.arange(len(counts)), counts)
    return ImageData.from_arrays(
        np.zeros((len(labels), 4, 6, channels), np.uint8),
        labels,
        class_names=list("abc")[: len(counts)],
    )


def test_images_classes_split_and_size_before_the_search():
    assert summaries.data_summary(images([50, 10, 40])) == [
        "100 images in 3 classes, from 10 images (b) to 50 (a): 60 for training, 20 for "
        "validation, 20 for the final test.",
        "Images are 6×4 pixels, RGB.",
    ]


def test_equal_classes_and_the_origin_of_the_size():
    data = dataclasses.replace(images([20, 20], channels=1), size_origin="as asked for")
    first, second = summaries.data_summary(data)
    assert first.startswith("40 images in 2 classes, 20 images each: 24 for training")
    assert second == "Images are 6×4 pixels, grey (as asked for)."


@pytest.mark.parametrize(
    ("max_trials", "time_limit", "limits"),
    [
        (20, None, "at most 20 trials"),
        (None, "10m", "at most 10m"),
        (1, 90, "at most 1 trial and at most 90 s"),
    ],
)
def test_what_is_searched_and_for_how_long(max_trials, time_limit, limits):
    said = summaries.search_summary(
        ("convnet", "resnet"),
        max_trials=max_trials,
        epochs=30,
        time_limit=time_limit,
        out=Path("runs/photos"),
    )
    assert said == (
        f"Searching convnet, resnet: {limits}, each trial up to 30 epochs. All files are "
        "written to runs/photos."
    )


def test_how_many_are_right_and_what_a_guess_would_get():
    scores = Scores(
        metrics={"accuracy": Interval(0.85, 0.7, 0.95)},
        # 17 on the diagonal; 12 of 20 are tulips.
        confusion=[[7, 1], [2, 10]],
        class_names=("rose", "tulip"),
        images=20,
        parameters=1,
        latency_ms={},
    )
    assert summaries.test_summary(scores) == (
        "17 of 20 test images are classified correctly (85.0%, 95% interval 70.0% to 95.0%); "
        "always answering 'tulip', their most frequent class, would get 60.0%."
    )


def test_the_mean_over_uneven_classes_is_told():
    scores = Scores(
        metrics={"accuracy": Interval(0.9, 0.8, 0.95)},
        # 16 of 16 and 2 of 4: 75% in the mean, 90% in all.
        confusion=[[16, 0], [2, 2]],
        class_names=("rose", "tulip"),
        images=20,
        parameters=1,
        latency_ms={},
    )
    said = summaries.test_summary(scores)
    assert said.endswith(" The mean over the classes is 75.0% (balanced accuracy).")


@pytest.mark.parametrize(
    ("objective", "balance", "said", "unsaid"),
    [
        (("val_accuracy",), ("none",), "--objective val_balanced_accuracy. Both", "….."),
        (
            ("val_accuracy",),
            ("none",),
            "To give rare classes more weight in training: --bal",
            "…..",
        ),
        (("val_accuracy",), ("none", "weights"), "ranked by val_accuracy, in which", "--balance"),
        (("val_balanced_accuracy",), ("none",), "ranked by val_balanced_accuracy. Both", "--obj"),
    ],
)
def test_what_uneven_classes_are_chosen_by(objective, balance, said, unsaid):
    told = summaries.uneven_summary(images([50, 10]), objective, balance)
    assert told.startswith("Classes are imbalanced.")
    assert said in told
    assert unsaid not in told


def test_classes_that_are_nearly_even_need_no_word():
    assert summaries.uneven_summary(images([50, 30]), "val_accuracy", ("none",)) is None


def test_what_became_of_the_trials():
    trials = [
        *[trial("COMPLETED")] * 3,
        trial("COMPLETED", "shortened from 30 to 4 epochs by the time limit"),
        trial("COMPLETED", "shortened from 30 to 9 epochs by the time limit"),
        *[trial("PRUNED", "pruned after 3 epochs")] * 4,
        trial("INFEASIBLE", "24,000,000 parameters"),
        *[trial("FAILED", "ValueError: shapes\nand a stack")] * 2,
        trial("FAILED", "the loss became nan in epoch 2"),
    ]
    assert summaries.trials_summary(trials) == (
        "3 of 13 trials trained to the end, 4 stopped early by the pruner, 2 shortened (by the "
        "time limit), 1 infeasible (24,000,000 parameters), 3 failed (2 ValueError: shapes; 1 the "
        "loss became nan in epoch 2)."
    )


def test_a_long_reason_is_cut():
    said = summaries.trials_summary([trial("FAILED", "x" * 500)])
    assert said.endswith(f"1 failed ({'x' * 99}…).")


def test_what_to_do_next():
    steps = summaries.next_steps(Path("runs/photos"), Path("runs/photos/export/1"))
    assert steps[:2] == [
        "show the report  kt-tuning report runs/photos --open",
        "classify images  kt-tuning predict runs/photos/export/1 IMAGE…",
    ]


def test_a_run_ends_with_its_time_and_what_more_time_would_bring():
    scores = Scores(
        metrics={"accuracy": Interval(0.85, 0.7, 0.95)},
        confusion=[[7, 1], [2, 10]],
        class_names=("rose", "tulip"),
        images=20,
        parameters=1,
        latency_ms={},
    )
    forecast = Forecast("val_accuracy", 200.0, 0.868, 0.874, 0.886)
    run, members = Path("runs/photos"), SimpleNamespace(record=None)
    outcome = RunOutcome(members, scores, None, run / "export/1", run / "report.html", (DONE,))
    lines = str(dataclasses.replace(outcome, seconds=298.2, forecast=forecast)).splitlines()
    assert lines[1:4] == [
        "1 of 1 trial trained to the end.",
        "The run took 4:58.",
        "Twice the search time of 3:20 would probably bring val_accuracy from 0.8680 to 0.8740 "
        "(with 90% probability not beyond 0.8860).",
    ]
    assert "search time" not in str(outcome)

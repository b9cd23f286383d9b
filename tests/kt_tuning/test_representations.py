"""What a user reads who types the name of an object: one line that says what it is."""

from pathlib import Path

import numpy as np
import pytest

from hypermodels import MLP, ConvNet, Families, FineTune, ResNet
from kt_tuning import ImageData, Recipe
from kt_tuning.ensembling import Candidates, Member
from kt_tuning.evaluation import Interval, evaluate
from kt_tuning.evaluation.selection_bias import CorrectedBest
from kt_tuning.finalize.refit import Refit, RefitRecord
from kt_tuning.report import Report

SHAPE = (64, 64, 3)


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (lambda: ConvNet(SHAPE, 10), "ConvNet((64, 64, 3), 10)"),
        (
            lambda: ConvNet(SHAPE, 10, space="wide", filters=(32, 64), residual=True),
            "ConvNet((64, 64, 3), 10, space='wide', filters=(32, 64), residual=True)",
        ),
        (
            lambda: FineTune(SHAPE, 2, backbone="MobileNetV2", weights=None),
            "FineTune((64, 64, 3), 2, backbone='MobileNetV2', weights=None)",
        ),
        (
            lambda: Families({"mlp": MLP(SHAPE, 2), "resnet": ResNet(SHAPE, 2, width=0.25)}),
            "Families({'mlp': MLP((64, 64, 3), 2), 'resnet': ResNet((64, 64, 3), 2, width=0.25)})",
        ),
        (Recipe, "Recipe()"),
        (lambda: Recipe(augment="text", mixup=0.2), "Recipe(augment='text', mixup=0.2)"),
        (
            lambda: CorrectedBest("accuracy", 0.98, Interval(0.97, 0.95, 0.99), 3, 20, 1200),
            "CorrectedBest(accuracy 0.9800, the best of 20 candidates on 1,200 images; 0.9700 "
            "after correction for this selection (95% interval 0.9500 to 0.9900))",
        ),
        (lambda: Report(Path("runs/photos/report.html")), "Report('runs/photos/report.html')"),
        (
            lambda: Refit(
                None,
                RefitRecord(("3",), (9,), (64,), (1.0,), (0,), 48, "f", "1 CPU"),
                Path("run/refit"),
            ),
            "Refit('run/refit': 1 model on 48 images, on 1 CPU: 9 epochs of 64 images per step.)",
        ),
        (
            lambda: Candidates((Member("a/0", np.ones((4, 1))),), np.zeros(4), np.arange(4), "f"),
            "Candidates(a/0; 4 images)",
        ),
    ],
)
def test_one_line(shown, text):
    assert repr(shown()) == text


def test_hypermodels_are_written_as_they_are_made():
    made = ConvNet(SHAPE, 10, per_stage=("filters",), optimizer="adamw")
    again = eval(repr(made), {"ConvNet": ConvNet})
    assert (again.fixed, again.per_stage) == (made.fixed, made.per_stage)


def test_a_tuner_says_how_far_it_is(make_tuner, stripes, tmp_path):
    tuner = make_tuner(max_trials=1, epochs=1)
    where = f"in {str(tmp_path / 'run')!r})"
    assert repr(tuner) == (
        f"Tuner(tiny, objective='val_accuracy', strategy='auto': 0 of 1 trials, {where}"
    )
    tuner.search(stripes, verbose=False)
    best = tuner.results()["val_accuracy"].iloc[0]
    assert repr(tuner).endswith(f": 1 of 1 trials, best val_accuracy {best:.4f}, {where}")
    assert repr(tuner.plot).startswith("Plots(history, ")


def test_scores_are_named_on_one_line(stripes):
    scores = evaluate(lambda images: np.full((len(images), 2), 0.5), stripes, bootstrap=5)
    assert repr(scores).startswith("Scores(test: 12 images, 2 classes: accuracy 0.5000 (")
    assert repr(scores).count("\n") == 0
    assert "<table>" in scores._repr_html_()


def test_images_are_shown_as_a_table_in_a_notebook(stripes):
    shown = "".join(stripes._repr_html_().split("\n"))
    assert "ImageData(8×8×1, 2 classes: train 36, validation 12, test 12)" in shown
    assert "<th>lying</th>      <td>18</td>      <td>6</td>      <td>6</td>    </tr>" in shown


def test_a_table_of_many_classes_is_cut():
    names = [f"<{number}>" for number in range(40)]
    images = np.zeros((120, 4, 4, 1), np.uint8)
    data = ImageData.from_arrays(images, np.arange(120) % 40, class_names=names)
    shown = data._repr_html_()
    assert "&lt;29&gt;" in shown
    assert "&lt;30&gt;" not in shown
    assert "and 10 more classes" in shown

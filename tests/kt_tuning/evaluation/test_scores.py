"""The record of an evaluation."""

import dataclasses
import math

import numpy as np
import pytest

from kt_tuning.core.errors import OptionError, StorageError
from kt_tuning.evaluation import Interval, Scores, measure_reliability
from kt_tuning.evaluation.cost import Cost, Throughput
from kt_tuning.evaluation.diagnostics import class_curves, worst_mistakes
from kt_tuning.evaluation.generalization import Generalization
from kt_tuning.evaluation.robustness import Robustness


@pytest.fixture
def scores():
    return Scores(
        metrics={"accuracy": Interval(0.75, 0.7, 0.8), "roc_auc": Interval(0.5, 0.25, 1.0)},
        confusion=[[3, 1], [1, 3]],
        class_names=("cat", "dog"),
        images=1008,
        parameters=42442,
        latency_ms={"p50": 1.25, "p95": 2.5},
    )


def test_round_trip(scores, tmp_path):
    scores.save(tmp_path / "scores.json")
    assert Scores.load(tmp_path / "scores.json") == scores


@pytest.fixture
def everything(scores):
    labels = np.array([0, 1, 0, 1])
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]])
    interval = Interval(0.5, 0.25, 0.75)
    return dataclasses.replace(
        scores,
        curves=class_curves(labels, probabilities),
        mistakes=worst_mistakes(labels, probabilities),
        reliability=measure_reliability(labels, probabilities),
        model="1f",
        cost=Cost(
            parameters=42442,
            weight_bytes=169768,
            multiply_adds=2_500_000,
            flops=5_100_000,
            latency_ms={"p50": 1.25, "p95": 2.5, "p99": 3.0},
            throughput=Throughput(32, 4321.0, {1: 800.0, 32: 4321.0}),
        ),
        robustness=Robustness(
            "accuracy", 100, 0.75, (1, 3), {"fog": (0.6, 0.4)}, {"fgsm": {8.0: 0.1}}
        ),
        generalization=Generalization(
            {"train": {"accuracy": interval}}, {"train to test": {"accuracy": interval}}
        ),
    )


def test_round_trip_of_everything(everything, tmp_path):
    everything.save(tmp_path / "scores.json")
    assert Scores.load(tmp_path / "scores.json") == everything


def test_str_of_everything(everything):
    lines = str(everything).splitlines()
    assert "throughput   4,321 images/s in batches of 32" in lines
    assert "arithmetic   2.5 M multiply-adds per image" in lines
    assert "robustness   accuracy 0.5000 on corrupted images" in lines
    # 90 and 80% sure and right, 60% sure and wrong, 70% sure and right
    assert "confidence   expected calibration error 0.3000" in lines


def test_earlier_parts_of_the_same_model_are_kept(scores, everything):
    later = dataclasses.replace(scores, model="1f")
    completed = later.completed_by(everything)
    assert completed.cost == everything.cost
    assert completed.robustness == everything.robustness
    assert completed.generalization == everything.generalization
    assert completed.metrics == later.metrics
    assert everything.completed_by(later) == everything


@pytest.mark.parametrize("model", [None, "2e"])
def test_parts_of_another_model_are_not(scores, everything, model):
    later = dataclasses.replace(scores, model=model)
    assert later.completed_by(everything) == later
    unknown = dataclasses.replace(everything, model=None)
    assert dataclasses.replace(scores, model=None).completed_by(unknown).cost is None


def test_round_trip_of_an_undefined_metric(scores, tmp_path):
    scores.metrics["roc_auc"] = Interval(math.nan, math.nan, math.nan)
    scores.save(tmp_path / "scores.json")
    loaded = Scores.load(tmp_path / "scores.json").metrics["roc_auc"]
    assert all(math.isnan(number) for number in (loaded.value, loaded.low, loaded.high))


def test_another_file(tmp_path):
    (tmp_path / "scores.json").write_text('{"metrics": {}}')
    with pytest.raises(StorageError, match="not a Scores"):
        Scores.load(tmp_path / "scores.json")


def test_item_is_the_value(scores):
    assert scores["accuracy"] == 0.75


def test_unknown_item(scores):
    with pytest.raises(OptionError, match=r"'f1'. Measured: accuracy, roc_auc"):
        scores["f1"]


def test_str(scores):
    assert str(scores).splitlines() == [
        "test: 1,008 images, 2 classes",
        "metric        value  95% interval",
        "accuracy     0.7500  0.7000 to 0.8000",
        "roc_auc      0.5000  0.2500 to 1.0000",
        "parameters   42,442",
        "latency      1.25 ms (p50), 2.50 ms (p95) for one image",
    ]


def test_unknown_parameters(scores):
    unknown = Scores(**{**scores.__dict__, "parameters": None})
    assert "parameters   unknown" in str(unknown)


def test_html(scores):
    page = Scores(**{**scores.__dict__, "split": "<b>"})._repr_html_()
    assert "<td>0.7500</td><td>0.7000 to 0.8000</td>" in page
    assert "42,442" in page
    assert "&lt;b&gt;: 1,008 images" in page

import math

import keras_tuner
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from search_spaces import assorted, calculator, conditional

from kt_tuning.core.errors import OptionError, SearchError
from kt_tuning.core.records import TrialRecord
from kt_tuning.evaluation import hyperparameter_importances
from kt_tuning.search.plots import Plots, study_of, style

matplotlib.use("Agg")

ACCURACY = keras_tuner.Objective("val_accuracy", "max")
LATENCY = keras_tuner.Objective("latency", "min")
SIZE = keras_tuner.Objective("size", "min")


def large():
    """18 hyperparameters, some of them conditional, one name with two ranges."""
    hp = keras_tuner.HyperParameters()
    optimizer = hp.Choice("optimizer", ["adam", "sgd", "rmsprop"])
    with hp.conditional_scope("optimizer", ["sgd"]):
        hp.Float("learning_rate", 1e-3, 1.0, sampling="log")
        hp.Float("momentum", 0.5, 0.99, sampling="reverse_log")
    with hp.conditional_scope("optimizer", ["adam", "rmsprop"]):
        hp.Float("learning_rate", 1e-5, 1e-2, sampling="log")
    assert optimizer == "adam"
    hp.Boolean("batch_norm")
    hp.Choice("augmentation_policy", ["none", "light", "standard", "strong"])
    hp.Int("dense_units", 32, 512, sampling="log")
    for index in range(6):
        hp.Int(f"filters_{index}", 16, 64, step=16)
    for index in range(5):
        hp.Float(f"dropout_{index}", 0.0, 0.5)
    hp.Fixed("epochs", 10)
    return hp


def small():
    hp = keras_tuner.HyperParameters()
    hp.Float("rate", 1e-4, 1.0, sampling="log")
    hp.Int("units", 1, 3)
    hp.Choice("kind", ["a", "b"])
    with hp.conditional_scope("kind", ["b"]):
        hp.Float("depth", 0.0, 1.0)
    return hp


def record(number, values, metrics, status="COMPLETED"):
    return TrialRecord(
        trial_id=f"{number:04}",
        number=number,
        status=status,
        values=values,
        metrics=metrics,
        best_epoch=0,
        epochs=1,
        seconds=1.0,
        parameters=1,
    )


def plots(records, space, *objectives, curves=()):
    history = pd.DataFrame(curves, columns=["trial_id", "epoch", "val_accuracy"])
    return Plots(study_of(records, history, objectives or [ACCURACY], space))


# rate, units, kind, depth, accuracy, status
ROWS = [
    (1e-3, 1, "a", None, 0.50, "COMPLETED"),
    (1e-2, 2, "b", 0.2, 0.70, "COMPLETED"),
    (1e-1, 3, "a", None, None, "FAILED"),
    (1e-4, 2, "b", 0.4, 0.75, "PRUNED"),
    (1e-1, 3, "b", 0.9, 0.60, "COMPLETED"),
]
RISING = pd.DataFrame({"trial_id": ["0000"] * 2, "epoch": [0, 1], "val_accuracy": [0.6, 0.8]})
CURVES = [("0000", 0, 0.3), ("0000", 1, 0.5), ("0001", 0, 0.7), ("0003", 0, 0.75)]


def few():
    """Five trials: completed, completed, failed, pruned with the best value, completed."""
    records = []
    for number, (rate, units, kind, depth, accuracy, status) in enumerate(ROWS):
        values = {"rate": rate, "units": units, "kind": kind}
        if depth is not None:
            values["depth"] = depth
        metrics = {} if accuracy is None else {"val_accuracy": accuracy}
        records.append(record(number, values, metrics, status))
    return plots(records, small(), curves=CURVES)


def many(count=60):
    """A search in which only the learning rate of SGD, or else Adam's, matters."""
    rng = np.random.default_rng(0)
    space, records, curves = large(), [], []
    for number in range(count):
        hp = space.copy()
        hp.values = {}
        for one in hp.space:
            if all(condition.is_active(hp.values) for condition in one.conditions):
                hp.values[one.name] = one.random_sample(int(rng.integers(2**31)))
        best = 0.1 if hp.values["optimizer"] == "sgd" else 1e-3
        accuracy = 0.8 - 0.1 * abs(math.log10(hp.values["learning_rate"] / best))
        status = rng.choice(["COMPLETED", "PRUNED", "FAILED"], p=[0.6, 0.3, 0.1])
        failed = status == "FAILED"
        metrics = {} if failed else {"val_accuracy": accuracy}
        records.append(record(number, hp.values, metrics, str(status)))
        curves += [(f"{number:04}", e, accuracy - 0.3 / (e + 1)) for e in range(5)]
    return plots(records, space, curves=curves)


FIGURES = {
    "history": lambda p: p.history(),
    "importances": lambda p: p.importances(),
    "slice": lambda p: p.slice(),
    "one slice": lambda p: p.slice("augmentation_policy"),
    "parallel_coordinates": lambda p: p.parallel_coordinates(),
    "intermediate_values": lambda p: p.intermediate_values(),
    "contour": lambda p: p.contour("dense_units", "augmentation_policy"),
}


@pytest.fixture(scope="module")
def searched():
    return many()


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_cut_off_at_the_margins(name, searched):
    figure = FIGURES[name](searched)
    figure.draw_without_rendering()
    drawn, page = figure.get_tightbbox(), figure.bbox_inches
    assert drawn.x0 >= page.x0
    assert drawn.y0 >= page.y0
    assert drawn.x1 <= page.x1
    assert drawn.y1 <= page.y1
    assert page.width <= 10


def test_the_users_own_figures_and_settings_stay_as_they_are(searched):
    mine = plt.figure()
    figures, before = plt.get_fignums(), dict(matplotlib.rcParams)
    for draw in FIGURES.values():
        draw(searched)
    assert dict(matplotlib.rcParams) == before
    assert plt.get_fignums() == figures
    plt.close(mine)


def test_history_has_a_point_a_value_and_the_best_so_far():
    axes = few().history().axes[0]
    points, line = axes.collections[0], axes.lines[0]
    assert points.get_offsets().tolist() == [[0, 0.5], [1, 0.7], [3, 0.75], [4, 0.6]]
    hollow = [to_hex(color) == "#ffffff" for color in points.get_facecolors()]
    assert hollow == [False, False, True, False]
    assert list(line.get_ydata()) == [0.5, 0.7, 0.7, 0.75, 0.75]
    assert axes.get_ylabel() == "val_accuracy"
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["Trial", "Best so far", "Pruned"]


def test_importances_are_shares_that_find_what_matters(searched):
    axes = searched.importances().axes[0]
    bars = [bar.get_width() for bar in axes.patches]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert sum(bars) == pytest.approx(1.0)
    assert len(names) == 17
    assert "epochs" not in names
    assert names[-1] == "learning_rate"


@pytest.mark.parametrize("function", [assorted, conditional])
def test_importances_are_those_of_the_values_and_scores_of_all_trials(function, tmp_path):
    # The study mirrors some parameters, scales others and splits those with two ranges.
    tuner = calculator(tmp_path, function, max_trials=12)
    tuner.search(verbose=0)
    trials = [(t.hyperparameters.values, t.score) for t in tuner.oracle.trials.values()]
    expected = hyperparameter_importances(trials, maximise=False)
    axes = Plots(tuner.oracle.study).importances().axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    drawn = dict(zip(names, [bar.get_width() for bar in axes.patches], strict=True))
    assert drawn == pytest.approx(expected)
    assert names == list(expected)[::-1]


def test_slices_show_completed_and_pruned_trials_that_have_the_parameter():
    figure = few().slice()
    panels = {axes.get_xlabel(): axes for axes in figure.axes if axes.get_xlabel()}
    assert list(panels) == ["depth", "kind", "rate", "units"]
    points = panels["depth"].collections[0]
    assert points.get_offsets().tolist() == [[0.2, 0.7], [0.4, 0.75], [0.9, 0.6]]
    assert points.get_array().tolist() == [1, None, 4]
    assert panels["rate"].get_xscale() == "log"
    assert [label.get_text() for label in panels["kind"].get_xticklabels()] == ["a", "b"]


def test_slices_are_in_rows_and_name_the_objective_once_a_row(searched):
    figure = searched.slice()
    panels = [axes for axes in figure.axes if axes.get_xlabel()]
    assert len(panels) == 18
    assert sum(axes.get_ylabel() == "val_accuracy" for axes in panels) == 5


def test_a_name_stands_for_all_its_scopes(searched):
    figure = searched.slice("learning_rate")
    names = [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()]
    assert names == ["learning_rate", "learning_rate\n[optimizer=adam|rmsprop]"]


def test_parallel_coordinates_take_completed_trials_the_best_one_last():
    figure = few().parallel_coordinates("units", "kind")
    axes = figure.axes[0]
    lines = axes.collections[0]
    assert list(lines.get_array()) == [0.5, 0.6, 0.7]
    assert [line[0, 1] for line in lines.get_segments()] == [0.5, 0.6, 0.7]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["val_accuracy", "kind", "units"]


def test_parallel_coordinates_choose_the_ten_most_important(searched):
    axes = searched.parallel_coordinates().axes[0]
    labels = [label.get_text().split("\n")[0] for label in axes.get_xticklabels()]
    assert len(labels) == 11
    assert "learning_rate" in labels


def test_curves_put_the_best_trial_in_front():
    axes = few().intermediate_values().axes[0]
    kinds = {line.get_label(): line for line in axes.lines}
    assert list(kinds) == ["Trial", "Best trial"]
    assert list(kinds["Best trial"].get_ydata()) == [0.75]
    assert kinds["Best trial"].get_zorder() > kinds["Trial"].get_zorder()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Epoch", "val_accuracy")


def test_curves_may_be_over_trainings():
    study = study_of([record(0, {}, {"val_accuracy": 0.7})], RISING, [ACCURACY], small())
    axes = Plots(study, step="Training").intermediate_values().axes[0]
    assert axes.get_xlabel() == "Training"
    assert axes.get_title(loc="left") == "val_accuracy by training"


def three(count):
    objectives = [ACCURACY, LATENCY, SIZE][:count]
    measured = [(0.9, 5.0, 1.0), (0.8, 2.0, 2.0), (0.7, 4.0, 3.0)]
    records = [
        record(
            number,
            {"rate": 0.1**number, "units": 1, "kind": "a"},
            {o.name: value for o, value in zip(objectives, values, strict=False)},
        )
        for number, values in enumerate(measured)
    ]
    return plots(records, small(), *objectives)


@pytest.mark.parametrize("count", [2, 3])
def test_the_pareto_front_is_what_no_trial_dominates(count):
    axes = three(count).pareto().axes[0]
    points = {c.get_label(): c for c in axes.collections if isinstance(c, PathCollection)}
    front = points["On the front"].get_offsets()
    if count == 2:
        assert front.tolist() == [[0.9, 5.0], [0.8, 2.0]]
        assert points["Dominated"].get_offsets().tolist() == [[0.7, 4.0]]
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("val_accuracy", "latency")
    else:
        assert axes.get_zlabel() == "size"
        assert len(front) == 2


def test_of_several_objectives_the_first_is_drawn_unless_another_is_named():
    assert three(2).history().axes[0].get_ylabel() == "val_accuracy"
    axes = three(2).history(objective="latency").axes[0]
    assert list(axes.lines[0].get_ydata()) == [5.0, 2.0, 2.0]
    with pytest.raises(OptionError, match=r"'speed'. Known: val_accuracy, latency"):
        three(2).slice(objective="speed")


def test_a_contour_is_between_the_completed_trials():
    figure = few().contour("rate", "units")
    axes = figure.axes[0]
    points = axes.collections[2].get_offsets()
    assert points.tolist() == [[1e-3, 1], [1e-2, 2], [1e-1, 3]]
    assert (axes.get_xlabel(), axes.get_xscale()) == ("rate", "log")
    assert figure.axes[1].get_ylabel() == "val_accuracy"


@pytest.mark.parametrize(
    ("draw", "error", "message"),
    [
        (lambda p: p.slice("rtae"), OptionError, "'rtae'. Known: depth, kind, rate, units"),
        (lambda p: p.parallel_coordinates("x"), OptionError, "'x'"),
        (lambda p: p.contour("rate", "x"), OptionError, "'x'"),
        (lambda p: p.contour("rate", "rate"), SearchError, "two hyperparameters"),
        (lambda p: p.contour("depth", "kind"), SearchError, "2 trials have"),
        (lambda p: p.pareto(), OptionError, "2 or 3 objectives. Received: .* val_accuracy"),
    ],
)
def test_a_wrong_question_says_what_would_be_right(draw, error, message):
    with pytest.raises(error, match=message):
        draw(few())


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "intermediate_values"])
def test_a_search_without_a_value_says_so(name):
    nothing = plots([record(0, {"rate": 0.1, "units": 1, "kind": "a"}, {}, "FAILED")], small())
    with pytest.raises(SearchError, match="No trial has completed yet"):
        FIGURES[name](nothing)


@pytest.mark.parametrize("name", ["importances", "slice", "parallel_coordinates"])
def test_one_trial_cannot_be_compared(name):
    one = plots([record(0, {"rate": 0.1, "units": 1, "kind": "a"}, {"val_accuracy": 0.5})], small())
    with pytest.raises(SearchError, match=r"at least two completed trials.* Received: 1"):
        FIGURES[name](one)
    assert len(one.history().axes[0].collections[0].get_offsets()) == 1


def test_a_search_without_curves_says_so():
    with pytest.raises(SearchError, match="reported a value before its end"):
        three(2).intermediate_values()


@pytest.mark.parametrize(
    ("value", "text"), [(0.001, "0.001"), (100.0, "100"), (1e-5, "1e-5"), (3e6, "3e6")]
)
def test_decades_are_written_shortly(value, text):
    figure = plt.figure()
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.set_xlim(value / 100, value * 100)
    style.plain_ticks(axes.xaxis)
    assert axes.xaxis.get_major_formatter()(value) == text
    plt.close(figure)

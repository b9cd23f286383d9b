"""Slices, parallel coordinates and contours."""

from __future__ import annotations

import numpy as np
import pytest

from kt_tuning.report import Plots


def test_slices_show_scored_trials_that_have_the_hyperparameter(few) -> None:
    figure = Plots(few).slice()
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    assert list(panels) == ["rate", "units", "kind", "depth"]
    assert panels["depth"].lines[0].get_xydata().tolist() == [[0.2, 0.7], [0.4, 0.75], [0.9, 0.6]]
    assert panels["depth"].lines[1].get_xydata().tolist() == [[0.4, 0.75]]
    assert panels["rate"].get_xscale() == "log"
    assert panels["units"].get_ylim() == panels["depth"].get_ylim()
    assert [label.get_text() for label in panels["kind"].get_xticklabels()] == ["a", "b"]


def test_the_best_may_lack_the_hyperparameter(make_summary) -> None:
    run = make_summary([0.1, 0.2, 0.3], values=[{"rate": 0.2}, {"rate": 0.4}, {}])
    (axes,) = Plots(run).slice().axes
    assert len(axes.lines) == 1


def test_bookkeeping_of_hyperband_and_constants_have_no_slice(make_summary) -> None:
    values = [{"depth": 2, "rate": 0.1, "tuner/epochs": 2}, {"depth": 2, "rate": 0.3}]
    values[1]["tuner/epochs"] = 5
    figure = Plots(make_summary([0.1, 0.2], values=values)).slice()
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["rate"]


@pytest.mark.parametrize(
    ("values", "labels", "rotation"),
    [
        ([32, 64, 128], ["32", "64", "128"], 0),
        ([3, "auto"], ["3", "auto"], 0),
        ([True, False], ["False", "True"], 0),
        ([f"class {index}" for index in range(6)], [f"class {index}" for index in range(6)], 30),
    ],
)
def test_labels_of_a_slice(make_summary, values, labels, rotation) -> None:
    run = make_summary([0.1] * len(values), values=[{"a": value} for value in values])
    ticks = Plots(run).slice("a").axes[0].get_xticklabels()
    assert [tick.get_text() for tick in ticks] == labels
    assert {tick.get_rotation() for tick in ticks} == {rotation}


def test_numbers_too_close_to_label_are_left_to_the_axis(make_summary) -> None:
    values = [{"a": 0.123456}, {"a": 0.123457}, {"a": 0.9}]
    ticks = Plots(make_summary([0.1] * 3, values=values)).slice("a").axes[0].get_xticks()
    assert 0.123456 not in ticks


PARALLEL = [
    {"rate": 0.001, "optimizer": "adam"},
    {"rate": 0.01, "optimizer": "sgd"},
    {"rate": 0.1, "optimizer": "sgd", "momentum": 0.9},
    {"rate": 0.1, "optimizer": "sgd", "momentum": 0.5},
    {"rate": 0.001, "optimizer": "adam"},
    {"rate": 0.01, "optimizer": "rmsprop"},
]


def test_a_trial_is_a_line_and_the_best_one_is_the_last_and_boldest(make_summary) -> None:
    run = make_summary([0.5, 0.6, 0.9, 0.8, 0.4, 0.7, None], values=[*PARALLEL, {}])
    axes = Plots(run).parallel_coordinates("rate", "optimizer", "momentum").axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) == 4]
    # Trials 4, 0, 1, 5, 3, 2. Rates by their logarithm, optimizers in alphabetical order.
    np.testing.assert_allclose([line.get_ydata()[0] for line in lines], [0, 0, 0.5, 0.5, 1, 1])
    np.testing.assert_allclose([line.get_ydata()[1] for line in lines], [0, 0, 1, 0.5, 1, 1])
    nan = np.nan
    np.testing.assert_allclose([line.get_ydata()[2] for line in lines], [nan, nan, nan, nan, 0, 1])
    np.testing.assert_allclose([line.get_ydata()[3] for line in lines], [0, 0.2, 0.4, 0.6, 0.8, 1])
    widths = [line.get_linewidth() for line in lines]
    assert max(widths) == widths[-1] > widths[-2] > widths[0]
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names == ["rate", "optimizer", "momentum", "Accuracy"]


def test_parallel_coordinates_have_no_pruned_trials(few) -> None:
    axes = Plots(few).parallel_coordinates("units").axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_marker() == "o"]
    assert len(lines) == 3


def test_parallel_coordinates_choose_the_seven_most_important(make_summary) -> None:
    rng = np.random.default_rng(0)
    rows = [{f"h{index}": float(rng.random()) for index in range(9)} for _ in range(20)]
    run = make_summary([row["h8"] for row in rows], values=rows)
    names = [t.get_text() for t in Plots(run).parallel_coordinates().axes[0].get_xticklabels()]
    assert len(names) == 8
    assert names[0] == "h8"


def test_many_numbers_have_three_labels(make_summary) -> None:
    values = [{"dropout": 0.1 * place} for place in range(8)]
    run = make_summary([0.1 * place for place in range(8)], values=values)
    texts = [text.get_text() for text in Plots(run).parallel_coordinates().axes[0].texts]
    assert texts == ["0", "0.35", "0.7"] * 2


def test_a_contour_is_between_the_completed_trials(make_summary) -> None:
    corners = [(0.001, 1), (0.1, 1), (0.001, 3), (0.1, 3)]
    values = [{"rate": rate, "units": units} for rate, units in corners]
    figure = Plots(make_summary([0.1, 0.2, 0.3, 0.4], values=values)).contour("rate", "units")
    axes = figure.axes[0]
    areas, scattered = axes.collections
    assert scattered.get_offsets().tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]
    assert len(areas.get_paths()) > 3
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.001", "0.1"]
    assert figure.axes[1].get_ylabel() == "Validation accuracy"


def test_a_contour_of_trials_on_one_line_is_points(few) -> None:
    axes = Plots(few).contour("rate", "units").axes[0]
    assert len(axes.collections) == 1

"""Figures of trials, as `tuner.plot` and the report draw them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import optuna
import pytest
from figure_cases import LONG, SHORT, points, with_records

from kt_tuning.core.errors import OptionError, SearchError
from kt_tuning.report import Plots
from kt_tuning.report.run_summary import RunSummary


def test_history_has_a_point_a_value_and_the_best_so_far(few) -> None:
    axes = Plots(few).history().axes[0]
    best_so_far, completed, pruned, best, failed = axes.lines
    assert best_so_far.get_ydata().tolist() == [0.5, 0.7, 0.7, 0.75, 0.75]
    assert completed.get_xydata().tolist() == [[0, 0.5], [1, 0.7], [4, 0.6]]
    assert (pruned.get_xydata().tolist(), pruned.get_markerfacecolor()) == ([[3, 0.75]], "none")
    assert best.get_xydata().tolist() == [[3, 0.75]]
    assert failed.get_xdata().tolist() == [2]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["best so far", "pruned", "no score"]


def test_the_best_of_a_loss_goes_down(make_summary) -> None:
    figure = Plots(make_summary([0.3, 0.4, 0.2], direction="min")).history()
    assert points(figure) == [[0, 0.3], [1, 0.3], [2, 0.2]]


def test_a_history_in_words(make_summary) -> None:
    assert Plots(make_summary([None, 0.3, 0.5])).history().description == (
        "Validation accuracy of 3 trials in order of start: the best is 0.5000 in trial 2; "
        "1 without a score."
    )
    assert "none has a score" in Plots(make_summary([None])).history().description


@pytest.mark.parametrize("scores", [[0.5], [0.1, None, 30.0]])
def test_scores_over_decades_are_on_a_logarithmic_axis(make_summary, scores) -> None:
    axes = Plots(make_summary(scores)).history().axes[0]
    assert axes.get_yscale() == ("log" if 30.0 in scores else "linear")


@pytest.fixture
def decided(make_summary) -> RunSummary:
    """30 trials: the rate decides, the units and the name do not; a third have momentum."""
    rng = np.random.default_rng(0)
    values = [
        {
            "rate": float(10 ** rng.uniform(-4, -1)),
            "units": int(rng.integers(1, 9)),
            "optimizer": str(rng.choice(["adam", "sgd"])),
            "depth": 2,
            "tuner/epochs": number,
            **({"momentum": float(rng.random())} if number % 3 == 0 else {}),
        }
        for number in range(30)
    ]
    scores = [-abs(np.log10(row["rate"]) + 2) for row in values]
    return make_summary([*scores, None], values=[*values, {"rate": 1.0}])


def shares(run: RunSummary) -> dict[str, float]:
    axes = Plots(run).importances().axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    return dict(zip(names, [bar.get_width() for bar in axes.patches], strict=True))


def test_the_most_important_hyperparameter_is_the_first_bar(decided) -> None:
    found = shares(decided)
    assert set(found) == {"rate", "units", "optimizer", "momentum"}
    assert next(iter(found)) == "rate"
    assert found["rate"] > 0.5
    assert sum(found.values()) == pytest.approx(1)
    assert (
        Plots(decided)
        .importances()
        .description.startswith("Importance of hyperparameters for Validation accuracy: rate ")
    )


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_importances_agree_with_optuna(decided) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    rates = [trial.values["rate"] for trial in decided.trials[:-1]]
    units = [trial.values["units"] for trial in decided.trials[:-1]]
    spaces = {
        "rate": optuna.distributions.FloatDistribution(min(rates), max(rates), log=True),
        "units": optuna.distributions.FloatDistribution(1, 8),
    }
    for trial, rate, unit in zip(decided.trials, rates, units, strict=False):
        params = {"rate": rate, "units": float(unit)}
        study.add_trial(
            optuna.create_trial(
                params=params, distributions=spaces, value=trial.metrics["val_accuracy"]
            )
        )
    try:
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.3)
    except TypeError:  # before Optuna 4.7
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(baseline_quantile=0.3)
    expected = optuna.importance.get_param_importances(study, evaluator=evaluator)
    found = shares(decided)
    assert found["rate"] / found["units"] == pytest.approx(expected["rate"] / expected["units"])


def test_a_small_loss_is_as_good_as_a_large_score(make_summary) -> None:
    values = [{"rate": float(place), "other": place % 3} for place in range(10)]
    scores = [float(place) for place in range(10)]
    up = make_summary(scores, values=values)
    down = make_summary([-score for score in scores], values=values, direction="min")
    assert shares(up) == shares(down)


@pytest.mark.parametrize("values", [[{"rate": 1.0}] * 9, [{"rate": float(i)} for i in range(5)]])
def test_nothing_varies_or_too_few_trials(make_summary, values) -> None:
    with pytest.raises(SearchError, match="Importances need at least 6 trials"):
        Plots(make_summary([0.1] * len(values), values=values)).importances()


def test_curves_put_the_best_trial_in_front(make_summary) -> None:
    figure = Plots(
        make_summary([0.4, 0.1, None], histories=[LONG, SHORT, {}])
    ).intermediate_values()
    first, second, best = figure.axes[0].lines
    assert first.get_xydata().tolist() == best.get_xydata().tolist()
    assert best.get_xydata().tolist() == [[1, 0.2], [2, 0.4], [3, 0.3]]
    assert second.get_xydata().tolist() == [[5, 0.1]]
    assert best.get_linewidth() > first.get_linewidth()
    assert figure.description == (
        "Validation accuracy by epoch, 2 curves. "
        "The best, trial 0, goes from 0.2000 to 0.3000 in 3 epochs."
    )


def test_several_trainings_of_a_trial_are_averaged_by_epoch(make_summary) -> None:
    history = {"epoch": [0.0, 1.0, 0.0], "val_accuracy": [0.2, 0.6, 0.4]}
    figure = Plots(make_summary([0.4], histories=[history])).intermediate_values()
    np.testing.assert_allclose(points(figure), [[1, 0.3], [2, 0.6]])


def test_losses_are_those_of_the_best(make_summary) -> None:
    figure = Plots(make_summary([0.1, 0.4], histories=[SHORT, LONG])).losses()
    kept, train, validation = figure.axes[0].lines
    assert kept.get_xdata() == [2, 2]
    assert train.get_ydata().tolist() == [3.0, 2.0, 1.0]
    assert validation.get_ydata().tolist() == [3.0, 2.5, 2.6]
    assert figure.description == (
        "Loss of the best trial by epoch: training loss ends at 1.0000, validation loss ends at "
        "2.6000; best epoch 2."
    )


def test_a_loss_that_was_not_recorded_is_left_out(make_summary) -> None:
    only_validation = {"val_loss": [2.0, 1.0], "loss": [np.nan, np.nan]}
    figure = Plots(make_summary([0.1], histories=[only_validation])).losses()
    assert len(figure.axes[0].lines) == 2
    with pytest.raises(SearchError, match="no loss by epoch"):
        Plots(make_summary([0.1], histories=[SHORT])).losses()


def test_a_diverged_loss_is_on_a_logarithmic_axis(make_summary) -> None:
    diverged = {"loss": [1.0, 1e6], "val_loss": [1.0, 2.0]}
    axes = Plots(make_summary([0.1], histories=[diverged])).losses().axes[0]
    assert axes.get_yscale() == "log"


OBJECTIVES = [("val_accuracy", "max"), ("latency", "min"), ("size", "min")]


@pytest.fixture
def costly(make_summary) -> Callable[[int], Plots]:
    """A function that makes figures of a search with so many objectives."""
    measured = [(0.9, 5.0, 1.0), (0.8, 2.0, 2.0), (0.7, 4.0, 3.0)]
    run = make_summary([row[0] for row in measured], values=[{"a": i} for i in range(3)])
    names = [name for name, _ in OBJECTIVES]
    metrics = [{"metrics": dict(zip(names, row, strict=True))} for row in measured]
    return lambda count: Plots(with_records(run, *metrics), objectives=OBJECTIVES[:count])


def test_the_pareto_front_is_the_trials_that_none_dominates(costly) -> None:
    axes = costly(2).pareto().axes[0]
    dominated, front = axes.lines
    assert dominated.get_xydata().tolist() == [[0.7, 4.0]]
    assert front.get_xydata().tolist() == [[0.9, 5.0], [0.8, 2.0]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Validation accuracy", "Latency")


def test_three_objectives_are_three_axes(costly) -> None:
    figure = costly(3).pareto()
    figure.draw_without_rendering()
    assert figure.axes[0].get_zlabel() == "Size"
    assert (
        figure.description
        == "3 trials by val_accuracy and latency and size; 2 on the Pareto front."
    )


def test_of_several_objectives_the_first_is_drawn_unless_another_is_named(costly) -> None:
    assert costly(2).history().axes[0].get_title(loc="left") == "Validation accuracy"
    assert points(costly(2).history(objective="latency")) == [[0, 5.0], [1, 2.0], [2, 2.0]]
    with pytest.raises(OptionError, match=r"'speed'. Known: val_accuracy, latency"):
        costly(2).slice(objective="speed")


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
def test_a_wrong_request_says_what_would_be_right(few, draw, error, message) -> None:
    with pytest.raises(error, match=message):
        draw(Plots(few))


@pytest.mark.parametrize("name", ["importances", "slice", "parallel_coordinates", "losses"])
def test_a_search_without_a_score_says_so(make_summary, name: str) -> None:
    with pytest.raises(SearchError, match="let the search continue"):
        getattr(Plots(make_summary([None])), name)()


@pytest.mark.parametrize("name", ["history", "slice", "intermediate_values"])
def test_a_search_without_a_trial_says_so(make_summary, name: str) -> None:
    with pytest.raises(SearchError, match="No trial has"):
        getattr(Plots(make_summary([])), name)()


@pytest.mark.parametrize("name", ["slice", "parallel_coordinates"])
def test_one_trial_cannot_be_compared(make_summary, name: str) -> None:
    with pytest.raises(SearchError, match=r"at least two completed trials.* Received: 1"):
        getattr(Plots(make_summary([0.5], values=[{"rate": 0.1}])), name)()

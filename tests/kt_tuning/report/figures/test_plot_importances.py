from __future__ import annotations

import keras_tuner
import numpy as np
import optuna
import pandas as pd
import pytest

from kt_tuning.core.errors import StorageError
from kt_tuning.report import plot_importances
from kt_tuning.report.figures import importances_data
from kt_tuning.search.plots import Plots, study_of


@pytest.fixture
def decided(make_summary):
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


def test_what_decides_is_most_important(decided) -> None:
    data = importances_data(decided)
    assert data is not None
    assert list(data.shares) == sorted(data.shares, key=lambda name: -data.shares[name])
    assert next(iter(data.shares)) == "rate"
    assert data.shares["rate"] > 0.5
    assert sum(data.shares.values()) == pytest.approx(1)


def test_only_what_varies_is_told(decided) -> None:
    assert set(importances_data(decided).shares) == {"rate", "units", "optimizer", "momentum"}


def test_agrees_with_a_study_of_the_same_trials(decided) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    rates = [trial.record.values["rate"] for trial in decided.trials[:-1]]
    units = [trial.record.values["units"] for trial in decided.trials[:-1]]
    spaces = {
        "rate": optuna.distributions.FloatDistribution(min(rates), max(rates), log=True),
        "units": optuna.distributions.FloatDistribution(1, 8),
    }
    for trial, rate, unit in zip(decided.trials, rates, units, strict=False):
        params = {"rate": rate, "units": float(unit)}
        study.add_trial(optuna.create_trial(params=params, distributions=spaces, value=trial.score))
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.3)
    expected = optuna.importance.get_param_importances(study, evaluator=evaluator)
    found = importances_data(decided).shares
    assert found["rate"] / found["units"] == pytest.approx(expected["rate"] / expected["units"])


def test_the_report_and_the_tuner_draw_the_same_shares(decided) -> None:
    space = keras_tuner.HyperParameters()
    space.Float("rate", 1e-6, 1.0, sampling="log")
    space.Int("units", 1, 64)
    space.Choice("optimizer", ["adam", "sgd"])
    space.Float("momentum", 0.0, 1.0)
    records = [trial.record for trial in decided.trials]
    history = pd.DataFrame(columns=["trial_id", "epoch"])
    objective = keras_tuner.Objective("val_accuracy", "max")
    axes = Plots(study_of(records, history, [objective], space)).importances().axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    drawn = dict(zip(names, [bar.get_width() for bar in axes.patches], strict=True))
    assert drawn == pytest.approx(importances_data(decided).shares)


def test_a_small_loss_is_as_good_as_a_large_score(make_summary) -> None:
    values = [{"rate": float(place)} for place in range(10)]
    scores = [float(place) for place in range(10)]
    up = importances_data(make_summary(scores, values=values))
    down = importances_data(make_summary([-s for s in scores], values=values, direction="min"))
    assert up.shares == down.shares


@pytest.mark.parametrize("values", [[{"rate": 1.0}] * 9, [{"rate": float(i)} for i in range(5)]])
def test_nothing_varies_or_too_few_trials(make_summary, values) -> None:
    run = make_summary([0.1] * len(values), values=values)
    assert importances_data(run) is None
    with pytest.raises(StorageError, match="Importances need 6 trials"):
        plot_importances(run)


def test_the_verbosity_of_optuna_stays(decided) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    importances_data(decided)
    assert optuna.logging.get_verbosity() == optuna.logging.WARNING


def test_a_bar_a_hyperparameter(decided) -> None:
    axes = plot_importances(decided).axes[0]
    assert axes.get_yticklabels()[0].get_text() == "rate"
    assert len(axes.patches) == 4
    assert importances_data(decided).description.startswith(
        "Importance of hyperparameters for Validation accuracy: rate "
    )

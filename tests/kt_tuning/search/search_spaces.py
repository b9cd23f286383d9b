"""Spaces, and a stock KerasTuner tuner that trains nothing."""

import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner

from kt_tuning.search.oracle import OptunaOracle


def mixed(hp):
    """Log, step and choice; returns a cost with its minimum, 0, in the middle."""
    rate = hp.Float("rate", 1e-4, 1e-1, sampling="log")
    units = hp.Int("units", 8, 64, step=8)
    kind = hp.Choice("kind", ["a", "b", "c"])
    flag = hp.Boolean("flag")
    return (rate - 0.01) ** 2 + abs(units - 32) / 64 + 0.2 * (kind != "b") + 0.1 * flag


def conditional(hp):
    """The same name in two scopes with different ranges, and a scope within a scope."""
    model = hp.Choice("model", ["cnn", "mlp"])
    with hp.conditional_scope("model", ["cnn"]):
        units = hp.Int("units", 1, 4)
        norm = hp.Boolean("norm")
        with hp.conditional_scope("norm", [True]):
            momentum = hp.Float("momentum", 0.5, 0.99)
    with hp.conditional_scope("model", ["mlp"]):
        other = hp.Int("units", 100, 400, step=100)
    if model == "mlp":
        return other / 400
    return units / 8 + (momentum if norm else 1.0)


def assorted(hp):
    """Every kind of hyperparameter, on every scale."""
    rate = hp.Float("rate", 1e-4, 1e-1, sampling="log")
    momentum = hp.Float("momentum", 0.5, 0.99, sampling="reverse_log")
    dropout = hp.Float("dropout", 0.0, 0.6, step=0.2)
    width = hp.Int("width", 8, 512, sampling="log", step=2)
    depth = hp.Int("depth", 1, 9, step=2)
    batch = hp.Choice("batch", [16, 64, 256])
    kind = hp.Choice("kind", ["a", "b", "c"])
    flag = hp.Boolean("flag")
    hp.Fixed("constant", 3)
    return rate + momentum + dropout + depth + width / batch + (kind != "b") + flag


def finite(hp):
    """Eight configurations, on branches of different depths."""
    model = hp.Choice("model", ["cnn", "mlp"])
    with hp.conditional_scope("model", ["cnn"]):
        n = hp.Int("n", 0, 1)
        norm = hp.Boolean("norm")
        with hp.conditional_scope("norm", [True]):
            size = hp.Choice("size", [10, 20])
    with hp.conditional_scope("model", ["mlp"]):
        width = hp.Float("width", 0.5, 1.0, step=0.5)
    return width if model == "mlp" else n + (size if norm else 0)


def small(hp):
    """Six configurations."""
    return hp.Int("a", 0, 2) + hp.Choice("b", [10, 20])


def space_of(function):
    """Every hyperparameter that a function may ask for."""
    hp = keras_tuner.HyperParameters()
    function(hp)
    for model in ("cnn", "mlp"):
        hp.values = {"model": model, "norm": True}
        hp.values.update({p.name: p.default for p in hp.space if p.name not in hp.values})
        function(hp)
    hp.values = {}
    return hp


class Calculator(BaseTuner):
    """A stock tuner whose trials are calls of a function."""

    def __init__(self, function, oracle, **options):
        self.function = function
        self.run = []
        super().__init__(oracle, **options)

    def _populate_initial_space(self):
        self.oracle.update_space(space_of(self.function))

    def run_trial(self, trial, verbose=0):
        self.run.append(trial.trial_id)
        return self.function(trial.hyperparameters)


def calculator(directory, function=mixed, *, name="project", overwrite=False, **options):
    """A stock tuner with an `OptunaOracle` of four trials; equal names share their search."""
    oracle = make_oracle(**{"max_trials": 4, **options})
    return Calculator(function, oracle, directory=directory, project_name=name, overwrite=overwrite)


def make_oracle(strategy="random", **options):
    """An oracle that minimises "loss"."""
    objective = keras_tuner.Objective("loss", "min")
    return OptunaOracle(strategy, **{"objective": objective, "seed": 0, **options})


def finish(oracle, trial, value=None, status="COMPLETED"):
    """End a trial as a tuner would."""
    if value is not None:
        names = [objective.name for objective in oracle.objectives]
        values = value if isinstance(value, tuple) else (value,)
        oracle.update_trial(trial.trial_id, dict(zip(names, values, strict=True)))
    trial.status = status
    oracle.end_trial(trial)


def run(oracle, function, count):
    """Run up to `count` trials; return the configurations."""
    configurations = []
    for _ in range(count):
        trial = oracle.create_trial("tuner")
        if trial.status == "STOPPED":
            break
        configurations.append(dict(trial.hyperparameters.values))
        finish(oracle, trial, function(trial.hyperparameters))
    return configurations

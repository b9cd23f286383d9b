"""KerasTuner's tuners under KerasTuner's names, with everything that `kt_tuning.Tuner` adds."""

from keras_tuner import SklearnTuner

from kt_tuning.tuner import Tuner
from kt_tuning.tuners.bayesian import BayesianOptimization
from kt_tuning.tuners.grid_search import GridSearch
from kt_tuning.tuners.hyperband import Hyperband
from kt_tuning.tuners.random_search import RandomSearch

__all__ = [
    "BayesianOptimization",
    "GridSearch",
    "Hyperband",
    "RandomSearch",
    "SklearnTuner",
    "Tuner",
]

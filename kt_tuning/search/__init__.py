"""Search: which configurations are tried, and what came of them."""

from kt_tuning.core.quiet import import_tqdm

import_tqdm()  # before Optuna does

from kt_tuning.search.finishing import Finish
from kt_tuning.search.narrowing import narrow
from kt_tuning.search.oracle import OptunaOracle
from kt_tuning.search.pruning import PRUNERS
from kt_tuning.search.samplers import SAMPLERS as STRATEGIES
from kt_tuning.search.tuner import Tuner

__all__ = ["PRUNERS", "STRATEGIES", "Finish", "OptunaOracle", "Tuner", "narrow"]

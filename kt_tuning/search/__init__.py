"""Search: the tuner, its oracles, samplers and pruners."""

from kt_tuning.core.quiet import import_tqdm

import_tqdm()  # before Optuna does

from kt_tuning.search.distributed import SharedFinalize
from kt_tuning.search.distributions import narrow
from kt_tuning.search.oracle import OptunaOracle
from kt_tuning.search.pruning import PRUNERS
from kt_tuning.search.samplers import SAMPLERS as STRATEGIES
from kt_tuning.search.tuner import Tuner

__all__ = ["PRUNERS", "STRATEGIES", "OptunaOracle", "SharedFinalize", "Tuner", "narrow"]

"""Pruners, which stop trials by their values after each epoch or fold."""

from __future__ import annotations

from collections.abc import Callable

from optuna import pruners

from kt_tuning.core.errors import OptionError
from kt_tuning.core.names import find_name
from kt_tuning.core.quiet import quiet_optuna
from kt_tuning.search.rungs import REDUCTION, AshaPruner

FAIR_START = 0.1
"""Share of the epochs without pruning by the median, while learning rates warm up."""
PATIENCE = 3
"""Epochs without improvement that a patient pruner allows."""

PRUNERS: dict[str, Callable[[int | None], pruners.BasePruner]] = {
    "none": lambda epochs: pruners.NopPruner(),
    "median": lambda epochs: pruners.MedianPruner(n_warmup_steps=_warmup(epochs)),
    "percentile": lambda epochs: pruners.PercentilePruner(25.0, n_warmup_steps=_warmup(epochs)),
    "patient": lambda epochs: pruners.PatientPruner(
        pruners.MedianPruner(n_warmup_steps=_warmup(epochs)), PATIENCE
    ),
    "asha": lambda epochs: AshaPruner(),
    "hyperband": lambda epochs: pruners.HyperbandPruner(
        min_resource=1,
        max_resource="auto" if epochs is None else epochs,
        reduction_factor=REDUCTION,
    ),
    "wilcoxon": lambda epochs: pruners.WilcoxonPruner(p_threshold=0.1),
}
"""Name -> (epochs of a full training, or None if unknown) -> pruner."""


def pruner_name(pruner: str) -> str:
    """Return the name in `PRUNERS` that a spelling stands for.

    Raises:
        OptionError: if there is none.
    """
    return find_name(pruner, PRUNERS, "pruner", hint="or pass one of optuna.pruners")


def make_pruner(
    pruner: str | pruners.BasePruner | None, epochs: int | None = None, *, objectives: int = 1
) -> pruners.BasePruner:
    """Return the pruner of a name; None is "none"; a pruner of Optuna is returned as it is.

    Args:
        pruner: A name in `PRUNERS`: "median" stops what is worse than half of the trials at the
            same epoch, "percentile" what is not in the best quarter, "patient" what the median
            would stop and has not improved for `PATIENCE` epochs, "hyperband" all but a third at
            epochs 1, 3, 9 and so on, "wilcoxon" what is significantly worse than the best trial
            on the same folds. "asha" pauses trials after a ninth and a third of their epochs and
            promotes the best third (see `HalvingRule`).
        epochs: Epochs of a full training; Hyperband infers them from finished trials if None.
        objectives: Number of objectives.

    Raises:
        OptionError: if there is no such pruner, or there are several objectives.
    """
    name = pruner or "none"
    with quiet_optuna():
        made = PRUNERS[pruner_name(name)](epochs) if isinstance(name, str) else name
    if objectives > 1 and not isinstance(made, pruners.NopPruner):
        raise OptionError(
            f"A pruner needs one objective. Received {objectives} objectives and the pruner "
            f'{pruner!r}, perhaps that of the strategy: pass pruner="none".'
        )
    return made


def _warmup(epochs: int | None) -> int:
    return 0 if epochs is None else int(FAIR_START * epochs)

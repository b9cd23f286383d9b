"""The options of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypermodels import HYPERMODELS
from hypermodels.backbones import at_hand
from hypermodels.families import SEPARATOR
from kt_tuning.core.errors import OptionError
from kt_tuning.core.names import find_name
from kt_tuning.ensembling import PRICE
from kt_tuning.search.auto import AUTO
from kt_tuning.search.pruning import pruner_name
from kt_tuning.search.samplers import strategy_name
from kt_tuning.search.study.urls import without_password

DEFAULT_TRIALS = 20
"""Trials of a search that was given neither a number of trials nor a time limit."""
DEFAULT_TIME = "5m"
"""Time limit of such a search that chooses its families and has a pre-trained network: by then
more time gains little."""


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Options of `run`; each is an option of `kt-tuning run`.

    Attributes:
        hypermodel: Names in `HYPERMODELS`; several families are searched together. "auto" alone:
            those that suit the images, see `kt_tuning.search.auto`.
        fixed: Values of hyperparameters that are not searched; with several families
            "resnet/filters" is one of that family.
        backbone: The pre-trained network of the families that have one, see `FineTune`; None for
            those at hand.
        objective: What is optimised, e.g. "val_accuracy"; one or several names.
        strategy: Name in `STRATEGIES`.
        pruner: Name in `PRUNERS`, or None for what goes with the strategy.
        epochs: Epochs of a full training.
        time_limit: Wall-clock of the whole run, e.g. "10m", or None.
        max_trials: Trials, at most, or None.
        trial_time_limit: Wall-clock of one trial, or None.
        max_stale_trials: Trials in a row without a better one that end the search, or None.
        max_parameters: Scalars in a model's weights, at most, or None.
        max_flops: Floating-point operations for one image, at most, or None.
        max_latency: Milliseconds for one image, at most, or None.
        folds: Of a cross-validation, or None.
        executions: Trainings of each configuration, on each fold.
        batch_size: Images a step; several are searched.
        max_batch_size: What batches may grow to, or None; several are searched.
        augment: Name in `POLICIES`, or "search"; None for that of `default_policy`.
        mixup: α of MixUp; several are searched.
        cutmix: α of CutMix; several are searched.
        balance: How rare classes count as much as others, see `Recipe`; several are searched.
        patience: Epochs without improvement after which a trial stops, or None.
        precision: What training computes with, see `Recipe`.
        workers: Trials at the same time, or "auto".
        storage: URL of the database that keeps the study, see `Tuner`; None for `study.db`.
        ensemble_size: Candidates for the ensemble.
        price: The share of the loss that is worth a doubling of what the ensemble costs; 0: cost
            does not matter.
        seed: Same seed, same trials and scores (if no time limit interferes).
        overwrite: Whether an earlier search in the run directory is deleted.
        verbose: Whether to show the live view.
        normalize: Whether pixels are standardised, inside the model, by the means and standard
            deviations of the training images' channels.
        hyperparameters: How the space is narrowed, by name; see `kt_tuning.search.narrow`.
        track: Where the search is also logged: names in `kt_tuning.tracking.TRACKERS`.
        refit: Whether the ensemble's members are trained again, on training and validation images,
            before they are evaluated and exported. None: if they contain a pre-trained network and
            that takes little of the time, see `kt_tuning.pipeline.refitted`.
    """

    hypermodel: tuple[str, ...] = (AUTO,)
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    backbone: str | None = None
    objective: str | tuple[str, ...] = ("val_accuracy",)
    strategy: str = "auto"
    pruner: str | None = None
    epochs: int = 30
    time_limit: str | float | None = None
    max_trials: int | None = None
    trial_time_limit: str | float | None = None
    max_stale_trials: int | None = None
    max_parameters: int | None = None
    max_flops: int | None = None
    max_latency: float | None = None
    folds: int | None = None
    executions: int = 1
    batch_size: tuple[int, ...] = (64,)
    max_batch_size: tuple[int, ...] | None = None
    augment: str | None = None
    mixup: tuple[float, ...] = (0.0,)
    cutmix: tuple[float, ...] = (0.0,)
    balance: tuple[str, ...] = ("none",)
    patience: int | None = None
    precision: str = "auto"
    workers: int | str = 1
    storage: str | None = None
    ensemble_size: int = 5
    price: float = PRICE
    seed: int = 0
    overwrite: bool = False
    verbose: bool = True
    normalize: bool = False
    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    track: tuple[str, ...] = ()
    refit: bool | None = None

    def __post_init__(self) -> None:
        known = [AUTO, *HYPERMODELS]
        families = tuple(find_name(name, known, "hypermodel") for name in self.hypermodel)
        if AUTO in families and len(families) > 1:
            raise OptionError(
                f"{AUTO!r} chooses the families itself: name it alone, or others without it. "
                f"Received: {', '.join(families)}"
            )
        object.__setattr__(self, "hypermodel", families)
        fixed = {_own_spelling(name): value for name, value in self.fixed.items()}
        object.__setattr__(self, "fixed", fixed)
        object.__setattr__(self, "strategy", strategy_name(self.strategy))
        if self.backbone is not None and Path(self.backbone).is_file():
            # A run is gone on with from other folders.
            object.__setattr__(self, "backbone", str(Path(self.backbone).resolve()))
        if self.pruner is not None:
            object.__setattr__(self, "pruner", pruner_name(self.pruner))

    def limited(self) -> RunOptions:
        """The same with a limit: that by default if neither trials nor time were limited."""
        if self.max_trials is not None or self.time_limit is not None:
            return self
        if self.hypermodel == (AUTO,) and (self.backbone is not None or at_hand()):
            return dataclasses.replace(self, time_limit=DEFAULT_TIME)
        return dataclasses.replace(self, max_trials=DEFAULT_TRIALS)

    def without_password(self) -> RunOptions:
        """The same as they may be written: what connects to a database comes from elsewhere."""
        shown = None if self.storage is None else without_password(self.storage)
        return dataclasses.replace(self, storage=shown)


def _own_spelling(name: str) -> str:
    """The name of a fixed hyperparameter, its family spelled as in `HYPERMODELS`."""
    family, slash, own = name.partition(SEPARATOR)
    return f"{find_name(family, HYPERMODELS, 'hypermodel')}{slash}{own}" if slash else name

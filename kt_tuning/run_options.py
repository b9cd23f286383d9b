"""The options of a run, declared once for the command line, `RunOptions`, the tuner and the recipe.

A row of `RunOptions` has the default, the help text, the panel of `kt-tuning run --help` and the
argument that the option sets. Nothing here imports Keras before an instance is made.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kt_tuning.core.errors import OptionError
from kt_tuning.core.json_record import typed
from kt_tuning.core.names import find_name

DEFAULT_TRIALS = 20
"""Trials of a search without limits."""
DEFAULT_TIME = "5m"
"""Time limit of a search without limits that chooses its families and has a pre-trained network:
more time gains little then."""
RENAMED = {"price": "cost_penalty"}
"""Options of older run directories."""

SEARCH, TRAINING, LIMITS, MACHINES, DATA = "Search", "Training", "Limits", "Machines", "Data"
"""Panels of `kt-tuning run --help`."""
TUNER, RECIPE, CALL = "Tuner", "Recipe", "Tuner.search"
"""What an option is an argument of."""


def _option(default: Any, help: str, panel: str | None = None, **row: Any) -> Any:
    """Declare an option.

    Args:
        default: Default in Python.
        help: What it means.
        panel: Panel of the help page; None for the first one.
        **row: `sets`: what it is an argument of, `TUNER`, `RECIPE` or `CALL`; `argument`: name of
            that argument, if it differs; `shown`: default as the help page shows it, where that is
            no value. On the command line, if they differ: `flag`, such as "--refit/--no-refit", ""
            if there is none; `kind`, its type; `shell_name`; and `shell_default`.
    """
    metadata = {"help": help, "panel": panel, **row}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """The options of `kt-tuning run`; the class checks names and normalises their spelling.

    Raises:
        OptionError: if there is no such hypermodel, strategy or pruner.
    """

    time_limit: str | float | None = _option(
        None,
        "Wall-clock of the whole command: 90s, 10m, 1h30m. Trials get the time that is left after "
        "reading the images and before evaluation and export, at least a third.",
        SEARCH,
    )
    max_trials: int | None = _option(
        None,
        "Largest number of trials.",
        SEARCH,
        sets=TUNER,
        shown=f"{DEFAULT_TRIALS} without a time limit",
    )
    hypermodel: tuple[str, ...] = _option(
        ("auto",),
        "Family of models, see `kt-tuning hypermodels`; several are searched together. auto: "
        "families that suit the images and the installed pre-trained networks.",
        SEARCH,
        shown="auto",
    )
    backbone: str | None = _option(
        None,
        "Pre-trained network of finetune and linearprobe, downloaded if it is missing: a name of "
        "`kt-tuning backbones`, a .keras file, or hf://… or kaggle://… for KerasHub.",
        SEARCH,
        shown="all that are installed",
    )
    fixed: Mapping[str, Any] = _option(
        {},
        "NAME=VALUE of a hyperparameter that is not searched; may be repeated. With several "
        "families, FAMILY/NAME=VALUE sets it for one of them.",
        SEARCH,
        shown="all are searched",
        kind=list[str] | None,
        shell_name="fix",
    )
    hyperparameters: Mapping[str, Any] = _option(
        {},
        "YAML file that fixes or narrows hyperparameters: NAME: VALUE, NAME: [VALUE, …] or "
        "NAME: {min: …, max: …, step: …, sampling: …}.",
        SEARCH,
        kind=Path | None,
    )
    objective: str | tuple[str, ...] = _option(
        ("val_accuracy",),
        "val_accuracy, val_loss, val_f1, val_roc_auc, …; repeated, also parameters, flops, "
        "latency.",
        SEARCH,
        sets=TUNER,
        shown="val_accuracy",
    )
    strategy: str = _option(
        "auto",
        "auto, random, grid, qmc, tpe, gp (or bayesian), cmaes, genetic, evolution, hyperband, "
        "asha, bohb.",
        SEARCH,
        sets=TUNER,
    )
    pruner: str | None = _option(
        None,
        "none, median, percentile, patient, asha, hyperband, wilcoxon.",
        SEARCH,
        sets=TUNER,
        shown="that of the strategy",
    )
    folds: int | None = _option(
        None, "Folds of a cross-validation of each configuration.", SEARCH, sets=TUNER
    )
    executions: int = _option(
        1,
        "Trainings of each configuration, whose scores are averaged.",
        SEARCH,
        sets=TUNER,
        argument="executions_per_trial",
    )
    ensemble_size: int = _option(5, "Candidates for the ensemble.", SEARCH)
    cost_penalty: float = _option(
        0.01,
        "Share of the loss that a doubling of the ensemble's parameters must gain; from 0, where "
        "costs do not matter, to less than 1.",
        SEARCH,
    )
    seed: int = _option(
        0,
        "Seed of everything random: equal seeds give equal trials if no time limit interferes.",
        SEARCH,
        sets=TUNER,
    )
    epochs: int | None = _option(
        None,
        "Epochs of a full training. With --hypermodel auto fine-tuning trains a third of them, at "
        "most 10.",
        TRAINING,
        sets=TUNER,
        shown="30; up to 60 of few images",
    )
    batch_size: tuple[int, ...] = _option(
        (64,), "Images a step; several are searched.", TRAINING, sets=RECIPE, shown="64"
    )
    max_batch_size: tuple[int, ...] | None = _option(
        None,
        "Double the batches, up to this many images, whenever the training loss stalls; several "
        "are searched.",
        TRAINING,
        sets=RECIPE,
        shown="batches do not grow",
    )
    augment: str | None = _option(
        None,
        "none, light, photo, standard, strong, text, randaugment, trivial, augmix; or search.",
        TRAINING,
        sets=RECIPE,
        shown="photo from 96 pixels, else light; text if mirror images lose their class",
    )
    mixup: tuple[float, ...] = _option(
        (0.0,), "α of MixUp; several are searched.", TRAINING, sets=RECIPE, shown="0"
    )
    cutmix: tuple[float, ...] = _option(
        (0.0,), "α of CutMix; several are searched.", TRAINING, sets=RECIPE, shown="0"
    )
    balance: tuple[str, ...] = _option(
        ("none",),
        "Balancing of rare classes: none, weights (of the loss), sampling; several are searched.",
        TRAINING,
        sets=RECIPE,
        shown="none",
    )
    patience: int | None = _option(
        None, "Epochs without improvement after which a trial stops.", TRAINING, sets=RECIPE
    )
    precision: str = _option(
        "auto",
        "Precision of the training: float32, mixed_bfloat16, mixed_float16; auto is the fastest "
        "that the device has.",
        TRAINING,
        sets=RECIPE,
    )
    refit: bool | None = _option(
        None,
        "Train the ensemble's members again, on training and validation images, before evaluation. "
        "By default if they contain a pre-trained network and that takes little time.",
        flag="--refit/--no-refit",
    )
    workers: int | str = _option(
        1,
        "Trials at the same time; auto is one a GPU, or a processor. ray, or ray://host:port: on a "
        "Ray cluster, as many as it has room for; ray?cpus=2&gpus=0.25&storage=/shared sets what "
        "each of them gets, and where its checkpoints are kept.",
        MACHINES,
        sets=CALL,
        shell_default="auto",
    )
    storage: str | None = _option(
        None,
        "Database that keeps the study, postgresql://user@host/name or mysql://…: the same command "
        "on several machines, with --out on a shared file system, is one search. A password comes "
        "from KT_TUNING_STORAGE_PASSWORD; it is not written anywhere.",
        MACHINES,
        sets=TUNER,
        shown="study.db in the run directory",
    )
    track: tuple[str, ...] = _option(
        (),
        "Also log the search to tensorboard, csv, mlflow or wandb; may be repeated.",
        MACHINES,
        sets=TUNER,
        argument="tracker",
        shown="nowhere",
    )
    trial_time_limit: str | float | None = _option(
        None, "Wall-clock of one trial.", LIMITS, sets=CALL
    )
    max_stale_trials: int | None = _option(
        None, "Trials in a row without a better one that end the search.", LIMITS, sets=CALL
    )
    max_parameters: int | None = _option(
        None, "Largest number of scalars in a model's weights.", LIMITS, sets=TUNER
    )
    max_flops: int | None = _option(
        None, "Largest number of floating-point operations for one image.", LIMITS, sets=TUNER
    )
    max_latency: float | None = _option(
        None, "Largest latency for one image in milliseconds.", LIMITS, sets=TUNER
    )
    normalize: bool = _option(
        False,
        "Standardise pixels, inside the model, by the means and standard deviations of the "
        "training images' channels.",
        DATA,
        flag="--normalize",
    )
    overwrite: bool = _option(
        False,
        "Delete the files of an earlier search in the run directory when this one begins.",
        sets=TUNER,
        flag="--overwrite",
    )
    verbose: bool = _option(True, "Whether to show the live view.", sets=CALL, flag="")

    def __post_init__(self) -> None:
        from hypermodels import HYPERMODELS
        from kt_tuning.search.auto import AUTO
        from kt_tuning.search.pruning import pruner_name
        from kt_tuning.search.samplers import strategy_name

        known = [AUTO, *HYPERMODELS]
        families = tuple(find_name(name, known, "hypermodel") for name in self.hypermodel)
        if AUTO in families and len(families) > 1:
            raise OptionError(
                f"{AUTO!r} chooses the families itself: pass it alone, or others without it. "
                f"Received: {', '.join(families)}"
            )
        fixed = {_normalised(name, HYPERMODELS): value for name, value in self.fixed.items()}
        changed: dict[str, Any] = {"hypermodel": families, "fixed": fixed}
        changed["strategy"] = strategy_name(self.strategy)
        if self.backbone is not None and Path(self.backbone).is_file():
            # A run may be resumed from another working directory.
            changed["backbone"] = str(Path(self.backbone).resolve())
        if self.pruner is not None:
            changed["pruner"] = pruner_name(self.pruner)
        for name, value in changed.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_json(cls, content: Mapping[str, Any], source: str = "the options") -> RunOptions:
        """Return the options in `options.json`; options that do not exist any more are ignored.

        Raises:
            StorageError: if an option has another type, or an impossible value.
        """
        renamed = {RENAMED.get(name, name): value for name, value in content.items()}
        made: RunOptions = typed(renamed, cls, source=source)
        return made

    def arguments(self, sets: str) -> dict[str, Any]:
        """Return the arguments that the options set.

        Args:
            sets: `TUNER`, `RECIPE` or `CALL`.
        """
        return {
            field.metadata.get("argument", field.name): getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.metadata.get("sets") == sets
        }

    def limited(self) -> RunOptions:
        """Return the options with the default limit if neither trials nor time are limited."""
        from hypermodels.backbones import at_hand

        if self.max_trials is not None or self.time_limit is not None:
            return self
        if self.hypermodel == ("auto",) and (self.backbone is not None or at_hand()):
            return dataclasses.replace(self, time_limit=DEFAULT_TIME)
        return dataclasses.replace(self, max_trials=DEFAULT_TRIALS)

    def without_password(self) -> RunOptions:
        """Return the options as they may be written, without the password of the storage."""
        from kt_tuning.search.study.storage import without_password

        shown = None if self.storage is None else without_password(self.storage)
        return dataclasses.replace(self, storage=shown)


_ATTRIBUTES = "\n".join(
    f"        {field.name}: {field.metadata['help']}" for field in dataclasses.fields(RunOptions)
)
RunOptions.__doc__ = f"{RunOptions.__doc__}\n    Attributes:\n{_ATTRIBUTES}\n"


def _normalised(name: str, families: Mapping[str, Any]) -> str:
    """Return the name of a fixed hyperparameter with its family spelled as in `HYPERMODELS`."""
    from hypermodels.families import SEPARATOR

    family, slash, own = name.partition(SEPARATOR)
    return f"{find_name(family, families, 'hypermodel')}{slash}{own}" if slash else name

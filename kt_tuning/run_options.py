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
"""Time limit of a search without limits if "auto" chooses its families and a pre-trained network is
available: more time then gains little."""
RENAMED = {"price": "cost_penalty"}
"""Options of older run directories."""

SEARCH, TRAINING, LIMITS, MACHINES, DATA = "Search", "Training", "Limits", "Machines", "Data"
"""Panels of `kt-tuning run --help`."""
TUNER, RECIPE, CALL = "Tuner", "Recipe", "Tuner.search"
"""The function that has the option as an argument."""


def _option(default: Any, help: str, panel: str | None = None, **row: Any) -> Any:
    """Declare an option.

    Args:
        default: Default in Python.
        help: Description of the option.
        panel: Panel of the help page; None for the first one.
        **row: `sets`: the function that has it as an argument, `TUNER`, `RECIPE` or `CALL`;
            `argument`: name of that argument, if it differs; `shown`: text for the default on the
            help page, if the default is not a value. On the command line, if they differ: `flag`,
            such as "--refit/--no-refit", or "" for no option; `kind`, its type; `shell_name`; and
            `shell_default`.
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
        "Wall-clock time of the whole command, such as 90s, 10m or 1h30m. Trials get the time that "
        "is left after reading the images and before evaluation and export, at least a third of "
        "it.",
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
        "Family of models, see `kt-tuning hypermodels`; repeat to search several families "
        "together. auto chooses families that suit the images and the available pre-trained "
        "networks.",
        SEARCH,
        shown="auto",
    )
    backbone: str | None = _option(
        None,
        "Pre-trained network of finetune and linearprobe, downloaded if it is missing: a name in "
        "`kt-tuning backbones` or keras.applications, a .keras or .h5 file, or hf://… or "
        "kaggle://… for KerasHub.",
        SEARCH,
        shown="all that are available",
    )
    fixed: Mapping[str, Any] = _option(
        {},
        "NAME=VALUE fixes a hyperparameter, which is then not searched; may be repeated. With "
        "several families, FAMILY/NAME=VALUE fixes it for one of them.",
        SEARCH,
        shown="none",
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
        "Metric that ranks the trials: val_accuracy, val_loss, val_f1, val_roc_auc, …; repeat to "
        "search the Pareto set of several objectives, also of parameters, flops and latency.",
        SEARCH,
        sets=TUNER,
        shown="val_accuracy",
    )
    strategy: str = _option(
        "auto",
        "How configurations are chosen: auto, random, grid, qmc, tpe, gp (or bayesian), cmaes, "
        "genetic, evolution, hyperband, asha, bohb.",
        SEARCH,
        sets=TUNER,
    )
    pruner: str | None = _option(
        None,
        "Which trials end early, or pause: none, median, percentile, patient, asha, hyperband, "
        "wilcoxon.",
        SEARCH,
        sets=TUNER,
        shown="the pruner of the strategy",
    )
    folds: int | None = _option(
        None, "Folds of the cross-validation of each configuration.", SEARCH, sets=TUNER
    )
    executions: int = _option(
        1,
        "Number of trainings of each configuration; their scores are averaged.",
        SEARCH,
        sets=TUNER,
        argument="executions_per_trial",
    )
    ensemble_size: int = _option(5, "Number of candidates for the ensemble.", SEARCH)
    cost_penalty: float = _option(
        0.01,
        "Share by which each doubling of the ensemble's parameters must reduce the loss, less than "
        "1; with 0 the size does not matter.",
        SEARCH,
    )
    mirror: bool = _option(
        True,
        "Average the predictions for an image and its mirror image where the validation loss says "
        "that it is worth twice the time; only models whose training images were mirrored.",
        SEARCH,
        flag="--mirror/--no-mirror",
    )
    seed: int = _option(
        0,
        "Seed of all random numbers. The same seed gives the same trials, unless a time limit ends "
        "one of them.",
        SEARCH,
        sets=TUNER,
    )
    epochs: int | None = _option(
        None,
        "Epochs of a full training. With --hypermodel auto, fine-tuning trains for a third of "
        "them, at most 10.",
        TRAINING,
        sets=TUNER,
        shown="60 for up to 4,000 training images, 30 from 8,000 on",
    )
    batch_size: tuple[int, ...] = _option(
        (64,), "Images per step; repeat to search several.", TRAINING, sets=RECIPE, shown="64"
    )
    max_batch_size: tuple[int, ...] | None = _option(
        None,
        "Double the batch size, up to this many images, whenever the training loss stalls; repeat "
        "to search several.",
        TRAINING,
        sets=RECIPE,
        shown="constant batch size",
    )
    augment: str | None = _option(
        None,
        "Augmentation policy: none, light, photo, standard, strong, text, randaugment, trivial or "
        "augmix; search searches the policy.",
        TRAINING,
        sets=RECIPE,
        shown="photo from 96 pixels, else light; text if mirror images lose their class",
    )
    mixup: tuple[float, ...] = _option(
        (0.0,), "α of MixUp; repeat to search several.", TRAINING, sets=RECIPE, shown="0"
    )
    cutmix: tuple[float, ...] = _option(
        (0.0,), "α of CutMix; repeat to search several.", TRAINING, sets=RECIPE, shown="0"
    )
    balance: tuple[str, ...] = _option(
        ("none",),
        "Balancing of rare classes: none, weights (of the loss) or sampling; repeat to search "
        "several.",
        TRAINING,
        sets=RECIPE,
        shown="none",
    )
    patience: int | None = _option(
        None, "Epochs without improvement after which a trial stops.", TRAINING, sets=RECIPE
    )
    precision: str = _option(
        "auto",
        "Precision of the training: float32, mixed_bfloat16 or mixed_float16. auto is the fastest "
        "on the device for networks trained from scratch, and float32 for pre-trained networks.",
        TRAINING,
        sets=RECIPE,
    )
    refit: bool | None = _option(
        None,
        "Train the members of the ensemble again before the evaluation, on training and validation "
        "images. By default only if all of them contain a pre-trained network and it takes little "
        "time.",
        flag="--refit/--no-refit",
    )
    workers: int | str = _option(
        1,
        "Number of trials at the same time. auto: one per GPU, or one per processor without GPUs. "
        "ray or ray://host:port: on a Ray cluster, as many as its resources allow; "
        "ray?cpus=2&gpus=0.25&storage=/shared sets the resources of each trial and where its "
        "checkpoints are stored.",
        MACHINES,
        sets=CALL,
        shell_default="auto",
    )
    storage: str | None = _option(
        None,
        "Database of the study, postgresql://user@host/name or mysql://…. The same command on "
        "several machines, with --out on a shared file system, runs one search. The password is "
        "taken from KT_TUNING_STORAGE_PASSWORD and never written.",
        MACHINES,
        sets=TUNER,
        shown="study.db in the run directory",
    )
    track: tuple[str, ...] = _option(
        (),
        "Experiment tracker: tensorboard, csv, mlflow or wandb; may be repeated.",
        MACHINES,
        sets=TUNER,
        argument="tracker",
        shown="none",
    )
    trial_time_limit: str | float | None = _option(
        None, "Wall-clock time of one trial, such as 90s or 10m.", LIMITS, sets=CALL
    )
    max_stale_trials: int | None = _option(
        None, "Trials in a row without a better score that end the search.", LIMITS, sets=CALL
    )
    max_parameters: int | None = _option(
        None, "Largest number of scalars in the weights of a model.", LIMITS, sets=TUNER
    )
    max_flops: int | None = _option(
        None, "Largest number of floating-point operations for one image.", LIMITS, sets=TUNER
    )
    max_latency: float | None = _option(
        None, "Largest latency for one image in milliseconds.", LIMITS, sets=TUNER
    )
    normalize: bool = _option(
        False,
        "Standardise the pixels inside the model by the means and standard deviations of the "
        "channels of the training images.",
        DATA,
        flag="--normalize",
    )
    overwrite: bool = _option(
        False,
        "Delete the files of an earlier search in the run directory when the search begins.",
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
        """Return the options in `options.json`; options of earlier versions are ignored.

        Raises:
            StorageError: if an option has a wrong type or an impossible value.
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

"""Checks of the arguments of a tuner and of `search`, and what they select."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import optuna

from kt_tuning.core.errors import OptionError
from kt_tuning.data import ImageData, ImageSplit
from kt_tuning.execution import Executor, Processes, Ray, RayExecutor, Serial, automatic_workers
from kt_tuning.recipe import Recipe
from kt_tuning.run.layout import STUDY
from kt_tuning.search.recipe_hypermodel import RecipeHyperModel
from kt_tuning.search.run_directory import RunDirectory
from kt_tuning.search.stock_oracle import is_oracle
from kt_tuning.trials import (
    ImageTask,
    RemoteExecutor,
    Task,
    build_model,
    check_soft_targets,
    open_storage,
)
from kt_tuning.trials.building import own_families

WORKERS = "workers"
"""Folder of a run for the output of worker processes."""
IMPORTS = ("kt_tuning.trials",)
"""Modules that workers import while the search is prepared."""


def check_arguments(
    oracle: Any,
    hypermodel: Any,
    hyperparameters: Any,
    recipe: Any,
    logger: Any,
    unknown: Mapping[str, Any],
) -> None:
    """Refuse arguments of a tuner that KerasTuner refuses, and warn of one that it ignores.

    Args:
        oracle: The first argument: an oracle, or the hypermodel of a search without.
        hypermodel: The second one.
        hyperparameters: The space that the search begins with, or None.
        recipe: How the models are trained, or None.
        logger: Ignored.
        unknown: Keyword arguments that no tuner has.

    Raises:
        OptionError: if an argument is unknown, the first one is no oracle where it should be, or
            `hyperparameters` or the recipe are something else.
    """
    if unknown:
        raise OptionError(
            f"Unrecognized arguments {list(unknown)} for a tuner. See `help(kt_tuning.Tuner)` for "
            "those it has."
        )
    if hypermodel is not None and oracle is not None and not is_oracle(oracle):
        raise OptionError(
            "Expected `oracle` argument to be an instance of `Oracle`, such as "
            f"kt_tuning.oracles.RandomSearchOracle(...). Received: oracle={oracle!r}"
        )
    if not isinstance(hyperparameters, (keras_tuner.HyperParameters, type(None))):
        raise OptionError(
            f"`hyperparameters` should be a HyperParameters. Received: {hyperparameters!r}"
        )
    if not isinstance(recipe, (Recipe, type(None))):
        raise OptionError(
            "`recipe` is a kt_tuning.Recipe, such as Recipe(batch_size=32), or None. "
            f"Received: {recipe!r}"
        )
    if logger is not None:
        warnings.warn(
            "The `logger` argument is ignored, as in KerasTuner. Use `tracker`.",
            DeprecationWarning,
            stacklevel=3,
        )


def check_place(directory: Any, project_name: Any) -> None:
    """Refuse what cannot be the place of a run.

    Args:
        directory: Should be a path.
        project_name: Should be the name of a folder in it.

    Raises:
        OptionError: if one of them is not.
    """
    for name, value in (("directory", directory), ("project_name", project_name)):
        if not isinstance(value, (str, Path)) or "\0" in str(value):
            raise OptionError(f"`{name}` should be a path. Received: {name}={value!r}")
    if not str(project_name):
        raise OptionError(
            "`project_name` is the name of the run directory in `directory`. Received: ''"
        )


def check_compiling(*, optimizer: Any, loss: Any, metrics: Any, strategy: Any) -> None:
    """Refuse arguments that models cannot be compiled with; None is fine.

    Args:
        optimizer: Should be one that Keras knows.
        loss: Should be one that Keras knows, or several of them for several outputs.
        metrics: Should be a list or a dict of them.
        strategy: Should be a `tf.distribute.Strategy`.

    Raises:
        OptionError: if one of them is something else.
    """
    for name, value, find in (
        ("optimizer", optimizer, keras.optimizers.get),
        ("loss", loss, lambda loss: keras.tree.map_structure(keras.losses.get, loss)),
    ):
        try:
            find(value)
        except (ValueError, TypeError) as error:
            raise OptionError(
                f"`{name}` should be one that Keras knows. Received: {name}={value!r}"
            ) from error
    if not isinstance(metrics, (list, tuple, dict, type(None))):
        raise OptionError(f"`metrics` should be a list of metrics. Received: metrics={metrics!r}")
    if strategy is not None and not hasattr(strategy, "scope"):
        raise OptionError(
            "`distribution_strategy` should be a tf.distribute.Strategy. Received: "
            f"distribution_strategy={strategy!r}"
        )


def check_arrays(x: Any) -> None:
    """Refuse data that `keras.Model.fit` cannot take.

    Args:
        x: Its first argument.

    Raises:
        OptionError: if it is a path, a part of an `ImageData`, or a list of something else than
            arrays.
    """
    if isinstance(x, (str, bytes, Path)):
        raise OptionError(f"`search` takes images, not a path: load_images({str(x)!r}).")
    if isinstance(x, ImageSplit):
        raise OptionError(
            "`search` takes a whole ImageData, or arrays: np.asarray(split) and split.labels. "
            "Received: an ImageSplit"
        )
    if isinstance(x, (list, tuple)) and not all(hasattr(each, "shape") for each in x):
        raise OptionError(
            "`search` takes arrays as `keras.Model.fit` does, or several inputs as a list of them: "
            f"np.asarray(x). Received: a {type(x).__name__} of other values"
        )


def check_validation(
    objectives: Sequence[str], args: tuple[Any, ...], fit_kwargs: Mapping[str, Any]
) -> None:
    """Refuse objectives of the validation if `keras.Model.fit` gets no validation data.

    Args:
        objectives: Their names.
        args: Positional arguments of `fit`.
        fit_kwargs: Its other arguments.

    Raises:
        OptionError: if there is such an objective.
    """
    # What a callback of the user logs is not known; as positional arguments, they come sixth.
    unknown = fit_kwargs.get("callbacks") or len(args) > len(("x", "y", "batch_size"))
    data, share = fit_kwargs.get("validation_data"), fit_kwargs.get("validation_split")
    missing = [name for name in objectives if name.startswith("val_")]
    if missing and data is None and not share and not unknown:
        raise OptionError(
            f"The objective {missing[0]} needs validation data: pass validation_data=(x, y) or "
            "validation_split=0.2 to `search`."
        )


def check_limits(**limits: float | None) -> dict[str, float]:
    """Return those upper limits of a model's costs, by name in `COSTS`, that are not None.

    Raises:
        OptionError: if one is not a positive number.
    """
    for name, limit in limits.items():
        number = isinstance(limit, Real) and not isinstance(limit, bool)
        if limit is not None and not (number and limit > 0):
            raise OptionError(
                f"`max_{name}` is a number above 0, or None. Received: max_{name}={limit!r}"
            )
    # NumPy's numbers cannot be written as JSON.
    return {
        name: int(limit) if isinstance(limit, Integral) else float(limit)
        for name, limit in limits.items()
        if limit is not None
    }


def check_warm_start(source: Any, run: Path) -> None:
    """Refuse to learn from the search itself, whose trials go on, or are deleted, anyway.

    Args:
        source: The earlier search, see `kt_tuning.Tuner`.
        run: The run directory.

    Raises:
        OptionError: if the source is in this directory, or is no search.
    """
    if not isinstance(source, (str, Path, optuna.Study, type(None))):
        raise OptionError(
            "`warm_start` should be a run directory, a file, a URL or an optuna.Study. "
            f"Received: {source!r}"
        )
    own = (run.resolve(), (run / STUDY).resolve())
    if isinstance(source, (str, Path)) and Path(source).resolve() in own:
        raise OptionError(
            f"`warm_start` names the search itself, {source}: without it, the search continues "
            "with its own trials. To begin anew and learn from them, choose another project_name."
        )


def find_workers(workers: int | str | Ray) -> int | Ray:
    """Return a number of processes, or a cluster.

    Args:
        workers: One of these, "auto", or a name that `Ray.named` knows.

    Raises:
        OptionError: if `workers` is something else, or several processes on Windows.
    """
    cluster = Ray.named(workers) if isinstance(workers, str) else workers
    if isinstance(cluster, Ray):
        return cluster
    if workers == "auto":
        return automatic_workers()
    if isinstance(workers, bool) or not isinstance(workers, Integral) or workers < 1:
        raise OptionError(
            "`workers` is a whole number, at least 1, or 'auto', or a cluster: Ray(…), 'ray' or "
            f"'ray://host:port'. Received: {workers!r}"
        )
    processes = int(workers)
    if processes > 1 and sys.platform == "win32":
        raise OptionError(
            "Several workers need Linux or macOS: pass workers=1 on Windows, or use WSL. "
            f"Received: workers={processes}"
        )
    return processes


def make_executor(workers: int | Ray, run: RunDirectory, jobs: int | None) -> Executor:
    """Return the executor of the trials.

    Args:
        workers: A number of processes, or a cluster.
        run: Directory for the output of the processes; it exists.
        jobs: Number of trials that are left, which limits the workers; None if unknown.
    """
    if isinstance(workers, Ray):
        storage = None if workers.storage is None else open_storage(workers.storage, run.path)
        return RemoteExecutor(RayExecutor(workers, imports=IMPORTS, jobs=jobs), storage)
    if jobs is not None:
        workers = min(workers, max(1, jobs))
    if workers == 1:
        return Serial()
    return Processes(workers, logs=run.path / WORKERS, imports=IMPORTS)


def image_tasks(
    hypermodel: RecipeHyperModel,
    recipe: Recipe,
    parts: Sequence[ImageData],
    args: tuple[Any, ...],
    fit_kwargs: dict[str, Any],
    *,
    objectives: Sequence[str],
    defaults: keras_tuner.HyperParameters,
) -> list[Task]:
    """Return tasks on images with a recipe.

    Args:
        hypermodel: Builds the models.
        recipe: How they are trained.
        parts: The images as each fold splits them.
        args: Further positional arguments of `search`; must be empty.
        fit_kwargs: Further keyword arguments of `search`; only callbacks are allowed.
        objectives: Names of the objectives.
        defaults: A configuration that the hypermodel is tried with.

    Raises:
        OptionError: if there is a further argument, or the hypermodel is for other images, builds
            models that return no probabilities, or takes integer labels only although the recipe
            mixes images.
    """
    callbacks = fit_kwargs.pop("callbacks", None) or []
    if args or fit_kwargs:
        extra = [repr(type(arg).__name__) for arg in args] + list(fit_kwargs)
        raise OptionError(
            "With an ImageData, `search` takes epochs, limits, workers, verbose and callbacks; "
            f"batch size and augmentation belong to `Recipe`. Received: {', '.join(extra)}"
        )
    recipe.check(parts[0].input_shape)
    tasks = [
        ImageTask(hypermodel, part, recipe, objectives=objectives, callbacks=callbacks)
        for part in parts
    ]
    if _fits(hypermodel, parts[0]) and not tasks[0].asks_model:
        return [*tasks]
    model = build_model(hypermodel, defaults)
    tasks[0].check(model)
    if recipe.mixes and getattr(model, "frozen", None) is None:
        check_soft_targets(model, parts[0].classes)
    return [*tasks]


def _fits(hypermodel: RecipeHyperModel, data: ImageData) -> bool:
    """Whether all models are classifiers for such images, without building one."""
    if type(hypermodel) is not RecipeHyperModel or hypermodel.compiling:
        return False
    families = own_families(hypermodel)
    needed = tuple(data.input_shape), data.classes
    return bool(families) and all(
        (tuple(family.input_shape), family.classes) == needed for family in families
    )


def split_folds(data: ImageData | None, folds: int | None, seed: int) -> list[ImageData]:
    """Return the images as each fold splits them; an empty list without an `ImageData`."""
    if data is None:
        return []
    return [data] if folds is None else data.folds(folds, seed=seed)

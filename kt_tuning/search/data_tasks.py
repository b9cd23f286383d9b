"""Tasks, one a fold, from the data that `Tuner.search` is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras_tuner

from kt_tuning.core.errors import OptionError
from kt_tuning.data import ImageData
from kt_tuning.recipe import Recipe
from kt_tuning.search.recipe_hypermodel import RecipeHyperModel
from kt_tuning.trials import (
    ImageTask,
    KerasTask,
    Task,
    build_model,
    check_soft_targets,
    has_own_fit,
)


def keras_task(
    hypermodel: RecipeHyperModel,
    args: tuple[Any, ...],
    fit_kwargs: dict[str, Any],
    *,
    folds: int | None,
    fixed_epochs: bool = True,
    needs_data: bool = True,
) -> Task:
    """Return a task on data of any kind that `keras.Model.fit` takes.

    Args:
        hypermodel: What to train.
        args: Positional arguments of `fit`.
        fit_kwargs: Keyword arguments of `fit`.
        folds: As asked for.
        fixed_epochs: Whether `fit` is told the epochs.
        needs_data: Whether there have to be any; a hypermodel's own `fit` may have data itself.

    Raises:
        OptionError: if there are no data, or folds are requested.
    """
    has_data = args or "x" in fit_kwargs or has_own_fit(hypermodel)
    if needs_data and not has_data:
        raise OptionError("`search` needs data: an ImageData, or x and y as for keras' fit.")
    if folds is not None:
        raise OptionError(
            "`folds` needs an ImageData, which it can split: ImageData.from_arrays(x, y)."
        )
    return KerasTask(
        hypermodel,
        args,
        fit_kwargs,
        precision=hypermodel.recipe.precision,
        fixed_epochs=fixed_epochs,
    )


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
    callbacks = fit_kwargs.pop("callbacks")
    if args or fit_kwargs:
        extra = [repr(type(arg).__name__) for arg in args] + list(fit_kwargs)
        raise OptionError(
            "With an ImageData, `search` takes epochs, limits, workers, verbose and callbacks; "
            f"batch size and augmentation belong to `Recipe`. Received: {', '.join(extra)}"
        )
    recipe.check(parts[0].input_shape)
    tasks: list[Task] = [
        ImageTask(hypermodel, part, recipe, objectives=objectives, callbacks=callbacks)
        for part in parts
    ]
    model = build_model(hypermodel, defaults)
    tasks[0].check(model)
    if recipe.mixes:
        check_soft_targets(model, parts[0].classes)
    return tasks


def split_folds(data: ImageData | None, folds: int | None, seed: int) -> list[ImageData]:
    """Return the images as each fold splits them; an empty list without an `ImageData`."""
    if data is None:
        return []
    return [data] if folds is None else data.folds(folds, seed=seed)


def make_tasks(
    hypermodel: RecipeHyperModel,
    parts: Sequence[ImageData],
    args: tuple[Any, ...],
    fit_kwargs: dict[str, Any],
    *,
    folds: int | None,
    fixed_epochs: bool,
    needs_data: bool,
    objectives: Sequence[str],
    defaults: keras_tuner.HyperParameters,
) -> list[Task]:
    """Return one task a fold for the arguments of `search`, see `keras_task` and `image_tasks`."""
    if not parts:
        return [
            keras_task(
                hypermodel,
                args,
                fit_kwargs,
                folds=folds,
                fixed_epochs=fixed_epochs,
                needs_data=needs_data,
            )
        ]
    return image_tasks(
        hypermodel,
        hypermodel.recipe,
        parts,
        args[1:],
        fit_kwargs,
        objectives=objectives,
        defaults=defaults,
    )

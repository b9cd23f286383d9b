"""What `Tuner.search` is given becomes tasks, one a fold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras_tuner

from kt_tuning.data import ImageData
from kt_tuning.errors import OptionError
from kt_tuning.recipe import Recipe
from kt_tuning.search.recipe_hypermodel import RecipeHyperModel
from kt_tuning.trials import ImageTask, KerasTask, Task, build_model, check_soft_targets


def keras_task(
    hypermodel: RecipeHyperModel,
    args: tuple[Any, ...],
    fit_kwargs: dict[str, Any],
    *,
    folds: int | None,
) -> Task:
    """Data of any kind that `keras.Model.fit` takes.

    Raises:
        OptionError: if there are none, or folds are asked for.
    """
    if not args and "x" not in fit_kwargs:
        raise OptionError("`search` needs data: an ImageData, or x and y as for keras' fit.")
    if folds is not None:
        raise OptionError(
            "`folds` needs an ImageData, which it can split: ImageData.from_arrays(x, y)."
        )
    return KerasTask(hypermodel, args, fit_kwargs, precision=hypermodel.recipe.precision)


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
    """Images with a recipe.

    Args:
        hypermodel: What to train.
        recipe: How to train.
        parts: The data, as each fold splits them.
        args: Further arguments of `search`: there should be none.
        fit_kwargs: Likewise, but for callbacks.
        objectives: Their names.
        defaults: A configuration to try the hypermodel with.

    Raises:
        OptionError: if an argument is too much, or the hypermodel is one for other images, builds
            models that return no probabilities, or is for integer labels where the recipe mixes
            images.
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

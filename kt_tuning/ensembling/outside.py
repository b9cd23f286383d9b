"""Candidates from outside: models that no search has trained, or what they predicted."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import StorageError
from kt_tuning.data import ImageData
from kt_tuning.ensembling.members import Member, stack_predictions
from kt_tuning.ensembling.problem import LOG_LOSS
from kt_tuning.ensembling.run_members import Candidates
from kt_tuning.evaluation import score
from kt_tuning.evaluation.predict import predict_probabilities

if TYPE_CHECKING:
    import keras

Floats = NDArray[np.floating[Any]]


def candidates_of(models: Mapping[str, Any], data: ImageData) -> Candidates:
    """Make members of models that were trained elsewhere, though not on the validation images.

    `join_candidates` puts them beside the trials of searches and what was trained again:

        join_candidates([read_candidates("runs/photos"), candidates_of({"theirs": model}, data)])

    Args:
        models: By name, each one of: a Keras model, the path of a `.keras` file, an `Ensemble`,
            predictions (N, classes) on the validation images in their order; or anything else
            that predicts, such as an `AugmentedPredictor` or a function from uint8 images
            (n, H, W, C) to probabilities, which can be weighed but not exported.
        data: Its validation split is predicted.

    Returns:
        The members, in the order of log-loss.

    Raises:
        DataError: if there are no models, or what one predicts is no probabilities.
        OptionError: on a model that cannot be called.
        StorageError: if a file is no Keras model.
    """
    members = [_member(name, model, data) for name, model in models.items()]
    predictions, labels = stack_predictions(members, data.validation.labels)
    losses = [score(labels, member, [LOG_LOSS])[LOG_LOSS] for member in predictions]
    return Candidates(
        members=tuple(members[place] for place in np.argsort(losses, kind="stable")),
        labels=data.validation.labels,
        rows=data.indices["validation"],
        fingerprint=data.fingerprint,
    )


def _member(name: str, model: Any, data: ImageData) -> Member:
    if isinstance(model, np.ndarray):
        return Member(name, model)
    if isinstance(model, (str, Path)):
        load = functools.partial(_read, model)
        read = load()
        predictions = predict_probabilities(read, data.validation)
        return Member(name, predictions, load=load, cost=_parameters(read))
    predictions = predict_probabilities(model, data.validation)
    return Member(name, predictions, load=_loader(model), cost=_parameters(model))


def _parameters(model: Any) -> float | None:
    count = getattr(model, "count_params", None)
    return None if count is None else float(max(1, count()))


def _loader(model: Any) -> Callable[[], keras.Model] | None:
    import keras

    if isinstance(model, keras.Model):
        return lambda: model
    return getattr(model, "to_keras", None)


def _read(path: str | Path) -> keras.Model:
    import keras

    try:
        return keras.models.load_model(path, compile=False)
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} should be a Keras model. {error}") from error

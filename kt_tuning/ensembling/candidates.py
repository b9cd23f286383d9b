"""Candidates for an ensemble from other runs, models trained elsewhere, augmented predictions."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.augment import Policy, augment
from kt_tuning.core.errors import DataError, OptionError, StorageError
from kt_tuning.core.names import find_name
from kt_tuning.core.records import TrialRecord
from kt_tuning.core.units import check_count, count
from kt_tuning.data import ImageData, ImageSplit
from kt_tuning.ensembling.members import Member, serving_cost, stack_predictions
from kt_tuning.ensembling.problem import LOG_LOSS, cost
from kt_tuning.evaluation import METRICS, predict_split
from kt_tuning.evaluation.predict import predict_function, predict_images, predict_probabilities
from kt_tuning.run import Run
from kt_tuning.run.layout import SPLIT

if TYPE_CHECKING:
    import keras

Floats = NDArray[np.floating[Any]]
Loader = Callable[[TrialRecord], "keras.Model"]
Arrays = list[NDArray[Any]]
"""A model's weights, as `keras.Model.get_weights` returns them."""


@dataclasses.dataclass(frozen=True, eq=False)
class Candidates:
    """Members that predict the same rows.

    Attributes:
        members: Best first.
        labels: (N,) of the rows.
        rows: (N,) places of the rows in the data set.
        fingerprint: Fingerprint of the data set: places mean the same if it is the same.
    """

    members: tuple[Member, ...]
    labels: NDArray[np.int64]
    rows: NDArray[np.int64]
    fingerprint: str

    def __repr__(self) -> str:
        names = ", ".join(member.name for member in self.members)
        return f"{type(self).__name__}({names}; {count(len(self.rows), 'image')})"


def read_candidates(
    directory: str | Path, *, load: Loader | None = None, prefix: str = ""
) -> Candidates:
    """Read the trials of a run directory that predicted every validated row.

    Args:
        directory: The run directory of a search.
        load: Makes a trial's model, or None if models are not needed.
        prefix: Prefix of the members' names, e.g. "last_week/".

    Raises:
        StorageError: if the directory holds no search on images, or no such trial.
    """
    run = Run(directory)
    search, card, split = run.read_search(), run.read_data(), run.read_split()
    rows = split.predicted
    if rows is None:
        raise StorageError(f"{run.path / SPLIT} should say which images were predicted.")
    members = tuple(
        Member(
            name=prefix + record.trial_id,
            predictions=predictions,
            score=record.metrics[search.objective],
            configuration=record.values,
            load=None if load is None else functools.partial(load, record),
            cost=serving_cost(record, search.folds),
        )
        for record in run.best_trials()
        # One that was pruned before its last fold lacks rows.
        if (predictions := run.predictions(record.trial_id)) is not None
        and len(predictions) == len(rows)
    )
    if not members:
        raise StorageError(
            f"No trial of {run.path} has predicted all {len(rows)} validation images: search "
            "longer, or name another run directory."
        )
    return Candidates(members, split.predicted_labels, rows, card.fingerprint)


def join_candidates(runs: Sequence[Candidates]) -> Candidates:
    """Put members of several runs together, on the rows that all of them predicted.

    A search with folds predicts more rows than one without: those that both did remain. Each was
    predicted by models that were not trained on it. As the objectives of two runs may differ,
    their members are put in the order of log-loss.

    Args:
        runs: At least one.

    Raises:
        DataError: if the data sets differ, or fewer than 3 rows are common.
    """
    first = runs[0]
    if other := [run.fingerprint for run in runs if run.fingerprint != first.fingerprint]:
        raise DataError(
            "Members of several runs should have been searched on the same images with the same "
            f"split. Received the fingerprints {first.fingerprint[:12]} and {other[0][:12]}."
        )
    common = first.rows
    for run in runs[1:]:
        common = np.intersect1d(common, run.rows)
    if len(common) < 3:
        raise DataError(
            "Members of several runs should have predicted the same validation images. "
            f"Received runs that have {len(common)} in common."
        )
    labels = first.labels[_places(first.rows, common)]
    members = [
        dataclasses.replace(member, predictions=member.predictions[_places(run.rows, common)])
        for run in runs
        for member in run.members
    ]
    if len(runs) > 1:
        members.sort(key=lambda m: cost(LOG_LOSS, labels, m.predictions))
    return Candidates(tuple(members), labels, common, first.fingerprint)


def _places(rows: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each wanted row is among the rows, which are in any order."""
    order = np.argsort(rows)
    return order[np.searchsorted(rows, wanted, sorter=order)]


def candidates_of(models: Mapping[str, Any], data: ImageData) -> Candidates:
    """Make members of models that were trained elsewhere, though not on the validation images.

    `join_candidates` puts them beside the trials of searches and retrained models:

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
    _, labels = stack_predictions(members, data.validation.labels)
    members.sort(key=lambda member: cost(LOG_LOSS, labels, member.predictions))
    rows = data.indices["validation"]
    return Candidates(tuple(members), data.validation.labels, rows, data.fingerprint)


def _member(name: str, model: Any, data: ImageData) -> Member:
    import keras

    if isinstance(model, np.ndarray):
        return Member(name, model)
    load = getattr(model, "to_keras", None)
    if isinstance(model, (str, Path)):
        path, load = model, functools.partial(_read, model)
        model = _read(path)
    elif isinstance(model, keras.Model):
        load = functools.partial(_same, model)
    size = float(max(1, model.count_params())) if hasattr(model, "count_params") else None
    return Member(name, predict_probabilities(model, data.validation), load=load, cost=size)


def _same(model: keras.Model) -> keras.Model:
    return model


def _read(path: str | Path) -> keras.Model:
    import keras

    try:
        return keras.models.load_model(path, compile=False)
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} should be a Keras model. {error}") from error


class AugmentedPredictor:
    """Test-time augmentation: the mean prediction of an image and augmented versions of it.

    Parameters of the versions are drawn once, and are the same for all images: an image's
    prediction depends on that image alone. It can be used wherever a model is asked to predict,
    such as in `evaluate` and `candidates_of`; as PIL augments, it has no Keras model that could be
    exported.

    Args:
        model: A Keras model, an `Ensemble`, or a function: uint8 images (n, H, W, C) ->
            probabilities (n, classes).
        policy: How images are varied, or the name of a policy; gentle ones help most.
        draws: Augmented versions of each image, at least 1.
        seed: Seed of the draws, a Latin hypercube (McKay, Beckman and Conover 1979): half of 8
            versions are mirrored where every second image should be, not 2 or 6 of them.

    Raises:
        OptionError: if an argument is wrong.
    """

    def __init__(self, model: Any, policy: Policy | str, *, draws: int = 8, seed: int = 0) -> None:
        draws = check_count("draws", draws)
        self._predict = predict_function(model)
        self.policy = Policy.named(policy) if isinstance(policy, str) else policy
        rng, dimensions = np.random.default_rng(seed), self.policy.draws
        slices = rng.permuted(np.tile(np.arange(draws), (dimensions, 1)), axis=1).T
        self.uniforms = (slices + rng.random((draws, dimensions))) / draws

    def predict_on_batch(self, images: NDArray[np.uint8]) -> Floats:
        """Return probabilities (n, classes) of uint8 images (n, H, W, C), in one go."""
        total = np.asarray(self._predict(images), dtype=np.float64)
        for drawn in self.uniforms:
            versions = augment(self.policy, images, np.tile(drawn, (len(images), 1)))
            total = total + np.asarray(self._predict(versions))
        return (total / (1 + len(self.uniforms))).astype(np.float32)

    def predict(self, images: NDArray[np.uint8]) -> Floats:
        """Return probabilities (N, classes) of uint8 images (N, H, W, C).

        Raises:
            DataError: if there are no images, or the model returns no probabilities.
        """
        return predict_images(self.predict_on_batch, images)


@dataclasses.dataclass(frozen=True, eq=False)
class Soup:
    """The result of `soup`.

    Attributes:
        member: The averaged model and its predictions on the candidates' rows.
        ingredients: Names of the members whose weights it is the mean of, best first.
        score: The metric on these rows. As they decided the ingredients, it is optimistic.
        best_alone: The metric of the best ingredient alone; the score is never worse.
    """

    member: Member
    ingredients: tuple[str, ...]
    score: float
    best_alone: float

    def __repr__(self) -> str:
        return f"Soup({', '.join(self.ingredients)}; {self.score:.4f}, alone {self.best_alone:.4f})"


def soup(candidates: Candidates, data: ImageData, *, metric: str = LOG_LOSS) -> Soup:
    """Average the weights of several models into one model (a "model soup").

    The result costs as much to serve as one model. It helps if the models are in the same basin of
    the loss, such as snapshots of one training or fine-tunings of one backbone.

    Candidates are added to the average one by one, the best first, if the metric on their rows does
    not become worse. Only weights of the same shapes can be averaged: candidates whose weights have
    other shapes than those of the best one are left out, as are candidates without a model. The
    statistics of batch normalisations are averaged like the weights.

    Source: Wortsman et al. (2022), "Model soups: averaging weights of multiple fine-tuned models
    improves accuracy without increasing inference time", recipe 1.

    Args:
        candidates: Members that were trained without folds; with folds, the models together were
            trained on all rows.
        data: The data that they were trained on.
        metric: Name in `METRICS`.

    Raises:
        OptionError: if the metric is unknown, or no candidate has a model.
        DataError: if the data are not those that the candidates predicted.
    """
    metric = find_name(metric, METRICS, "metric")
    if candidates.fingerprint != data.fingerprint:
        raise DataError(
            "The data should be those that the candidates predicted, fingerprint "
            f"{candidates.fingerprint[:12]}. Received: {data.fingerprint[:12]}."
        )
    members = [member for member in candidates.members if member.load is not None]
    if not members:
        raise OptionError("A soup is made of models. Received only candidates without a `load`.")
    members.sort(key=lambda member: cost(metric, candidates.labels, member.predictions))
    split = ImageSplit(data.pixels, candidates.rows, candidates.labels)
    model = members[0].model()

    def predict(weights: Arrays) -> NDArray[np.floating[Any]]:
        model.set_weights(weights)
        return predict_split(model, split)

    average, kept, costs = greedy_soup(
        itertools.chain(
            [model.get_weights()], (member.model().get_weights() for member in members[1:])
        ),
        lambda weights: cost(metric, candidates.labels, predict(weights)),
    )
    predictions = predict(average)
    sign = -1.0 if METRICS[metric].direction == "max" else 1.0
    return Soup(
        member=Member("soup", predictions, load=lambda: model, cost=float(model.count_params())),
        ingredients=tuple(members[place].name for place in kept),
        score=METRICS[metric].function(candidates.labels, predictions),
        best_alone=sign * costs[0],
    )


def greedy_soup(
    ingredients: Iterable[Arrays], cost_of: Callable[[Arrays], float]
) -> tuple[Arrays, list[int], list[float]]:
    """Average weights, each of which must not make the average cost more.

    Args:
        ingredients: Weights of models, the best first; those of other shapes are left out.
        cost_of: Cost of weights; lower is better.

    Returns:
        The average, the places of the ingredients in it, and the cost after each of them.
    """
    others = iter(ingredients)
    average = next(others)
    kept, costs = [0], [cost_of(average)]
    for place, weights in enumerate(others, start=1):
        if [array.shape for array in weights] != [array.shape for array in average]:
            continue
        mixed = [
            old + (new - old) / (len(kept) + 1) if np.issubdtype(old.dtype, np.floating) else old
            for old, new in zip(average, weights, strict=True)
        ]
        after = cost_of(mixed)
        if after <= costs[-1]:
            average = mixed
            kept.append(place)
            costs.append(after)
    return average, kept, costs

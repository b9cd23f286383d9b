"""Model soup: the mean of the weights of several models, with the serving cost of one.

It helps where the models lie in one basin of the loss: snapshots of one training, fine-tunings of
one backbone. Elsewhere their mean is worse than each, and only the best of them is kept.

Source: Wortsman et al. (2022), "Model soups: averaging weights of multiple fine-tuned models
improves accuracy without increasing inference time", recipe 1.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.core.names import find_name
from kt_tuning.data import ImageData, ImageSplit
from kt_tuning.ensembling.external_members import Candidates
from kt_tuning.ensembling.members import Member
from kt_tuning.ensembling.problem import LOG_LOSS, cost
from kt_tuning.evaluation import METRICS, predict_split

Arrays = list[NDArray[Any]]
"""A model's weights, as `keras.Model.get_weights` returns them."""


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
    """Average the weights of candidates that do not make the average worse.

    From the best on, each is put into the mean if the metric on the candidates' rows is then no
    worse. Weights can be averaged among models that are built alike: candidates whose weights have
    other shapes than those of the best one are left out, as are those without a model. The
    statistics of batch normalisations are averaged like everything else.

    Args:
        candidates: Members trained without folds: one of several folds has seen all rows.
        data: The data that they were trained on.
        metric: Name in `METRICS`.

    Raises:
        OptionError: on an unknown metric, or if no candidate has a model.
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
        return predict_split(model.predict_on_batch, split)

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

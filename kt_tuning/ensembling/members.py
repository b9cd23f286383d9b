"""Members of an ensemble: the candidates, and the choice among many."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kt_tuning.core.errors import OptionError
from kt_tuning.core.records import TrialRecord
from kt_tuning.core.units import check_count
from kt_tuning.ensembling.calibration import fit_temperature, temper
from kt_tuning.ensembling.combination import average_mirrored
from kt_tuning.ensembling.problem import (
    COST_PENALTY,
    Problem,
    check_predictions,
    cost,
    mean_log,
)
from kt_tuning.evaluation.metric_functions import EPSILON

if TYPE_CHECKING:
    import keras

Floats = NDArray[np.floating[Any]]
Select = Callable[[Floats, NDArray[np.integer[Any]]], Sequence[int]]
"""(predictions (K, n, C), labels (n,)) -> places of the members that may count."""


@dataclasses.dataclass(frozen=True, eq=False)
class Member:
    """A candidate for an ensemble: a trial of this or another run, or any other model.

    Attributes:
        name: Unique among the candidates; for a trial of this run its id.
        predictions: (N, C) probabilities on validation rows, by a model that was not trained on
            them. With folds, each row is predicted by the model that was not trained on it.
        score: Its objective, or None.
        configuration: Hyperparameter values; None if they are not known.
        load: Returns the Keras model, with folds the mean of all folds' models. None if there
            are only predictions: the member can be given a weight, but not be exported.
        cost: Serving cost: the number of parameters, with folds of all folds' models. None if it is
            not known; the costs of all candidates are then ignored.
        load_folds: With folds, returns the models of all folds, which an ensemble calibrates one
            by one; see `combine_folds`.
        mirrored: Whether predictions, models and cost are those of the mean over an image and its
            mirror image, see `with_mirror_images`.
    """

    name: str
    predictions: Floats
    score: float | None = None
    configuration: Mapping[str, Any] | None = None
    load: Callable[[], keras.Model] | None = None
    cost: float | None = None
    load_folds: Callable[[], Sequence[keras.Model]] | None = None
    mirrored: bool = False

    def model(self) -> keras.Model:
        """Load the Keras model.

        Raises:
            OptionError: if there are only predictions.
        """
        if self.load is None:
            raise OptionError(
                f"The member {self.name!r} counts in the ensemble, but there are only its "
                "predictions. Give it a `load` that returns the Keras model, or call `solve`, "
                "which finds weights without models."
            )
        return self.load()

    def models(self) -> Sequence[keras.Model]:
        """Load the models of all folds, or the only one."""
        return [self.model()] if self.load_folds is None else self.load_folds()


def with_mirror_images(
    member: Member,
    predictions: Floats | None,
    labels: ArrayLike,
    *,
    cost_penalty: float = COST_PENALTY,
) -> Member:
    """Return a member that also predicts the mirror image, if that is worth it; else the member.

    It is worth twice the cost if the log-loss, after a temperature is fitted, is lower by more than
    `cost_penalty`, and by more than the standard error of its difference.

    Args:
        member: A candidate.
        predictions: (N, C) means of its probabilities of the rows and their mirror images; None if
            they are not known.
        labels: (N,) integers in 0..C-1.
        cost_penalty: Share of the loss that a doubling of the cost must save, in [0, 1).

    Source: Krizhevsky, Sutskever and Hinton (2012), "ImageNet classification with deep
    convolutional neural networks", section 4.1, for predictions averaged over reflections.
    """
    if predictions is None:
        return member
    truth = np.asarray(labels)

    def losses(made: Floats) -> Floats:
        chosen = temper(made, fit_temperature(made, truth))[np.arange(len(truth)), truth]
        return -np.log(np.clip(chosen, EPSILON, 1))

    before = losses(member.predictions)
    gains = before - losses(predictions)
    error = gains.std() / np.sqrt(len(gains))
    if gains.mean() <= max(error, cost_penalty * before.mean()):
        return member
    load, load_folds = member.load, member.load_folds
    return dataclasses.replace(
        member,
        predictions=predictions,
        load=None if load is None else lambda: average_mirrored(load()),
        load_folds=(
            None if load_folds is None else lambda: [average_mirrored(one) for one in load_folds()]
        ),
        cost=None if member.cost is None else 2 * member.cost,
        mirrored=True,
    )


def serving_cost(record: TrialRecord, folds: int) -> float:
    """Return the serving cost of a trial: its number of parameters, see `Member.cost`.

    Arithmetic would need a build of every candidate; the parameters determine storage, loading
    time and memory.
    """
    return float(max(1, record.parameters) * folds)


def costs_of(members: Sequence[Member]) -> list[float] | None:
    """Return what each member costs, or None if that is not known of all."""
    costs = [member.cost for member in members if member.cost is not None]
    return costs if len(costs) == len(members) else None


def distinct(members: Sequence[Member]) -> list[Member]:
    """Return the first member of each configuration, and all whose configuration is not known."""
    chosen: list[Member] = []
    for member in members:
        known = member.configuration is not None
        if not (known and any(member.configuration == other.configuration for other in chosen)):
            chosen.append(member)
    return chosen


def take_best(members: Sequence[Member], labels: ArrayLike, size: int) -> list[Member]:
    """Choose the first members of distinct configurations.

    Args:
        members: Candidates, best first.
        labels: Not used.
        size: Largest number of members.

    Raises:
        OptionError: if `size` is below 1.
    """
    check_count("size", size)
    return distinct(members)[:size]


def take_diverse(members: Sequence[Member], labels: ArrayLike, size: int) -> list[Member]:
    """Choose the member of least log-loss, then again and again that which helps the mean most.

    Diversity counts by what it is worth: a weak member that errs elsewhere comes before a copy of
    a strong one. Each member is given its temperature first. As this looks at the rows that
    weights are fitted on, choose among at most some hundred members.

    Args:
        members: Candidates.
        labels: (N,) integers in 0..C-1, of the members' rows.
        size: Largest number of members.

    Raises:
        OptionError: if `size` is below 1.
        DataError: if predictions and labels do not belong together.
    """
    check_count("size", size)
    candidates = distinct(members)
    predictions, truth = stack_predictions(candidates, labels)
    tempered = np.stack([temper(member, fit_temperature(member, truth)) for member in predictions])
    of_truth = Problem(tempered, truth).of_truth
    chosen: list[int] = []
    total = np.zeros(of_truth.shape[1])
    while len(chosen) < min(size, len(candidates)):
        left = [index for index in range(len(candidates)) if index not in chosen]
        chosen.append(left[mean_log(of_truth[left] + total).argmax()])
        total += of_truth[chosen[-1]]
    return [candidates[index] for index in chosen]


MEMBER_CHOICES: dict[str, Callable[[Sequence[Member], ArrayLike, int], list[Member]]] = {
    "best": take_best,
    "diverse": take_diverse,
}
"""How candidates are chosen: (members, best first; labels (N,); size) -> members."""


def selection(members: Sequence[Member], choice: str, size: int, *, metric: str | None) -> Select:
    """Return a choice among members that can be made again on some of the rows.

    Members that are chosen on the rows that they are judged on look better than they are:
    `solve` makes the choice anew for each fold, without a look at it.

    Args:
        members: K candidates, best first.
        choice: Name in `MEMBER_CHOICES`.
        size: Largest number of members.
        metric: Name in `METRICS` that "best" means; None keeps their order on whatever rows.
    """

    def select(predictions: Floats, labels: NDArray[np.integer[Any]]) -> list[int]:
        order = np.arange(len(members))
        if metric is not None:
            costs = [cost(metric, labels, member) for member in predictions]
            order = np.argsort(costs, kind="stable")
        on_rows = [
            dataclasses.replace(members[place], predictions=predictions[place])
            for place in order.tolist()
        ]
        chosen = {member.name for member in MEMBER_CHOICES[choice](on_rows, labels, size)}
        return [place for place, member in enumerate(members) if member.name in chosen]

    return select


def stack_predictions(
    members: Sequence[Member], labels: ArrayLike
) -> tuple[Floats, NDArray[np.integer[Any]]]:
    """Return predictions (K, N, C) and labels (N,), checked.

    Raises:
        OptionError: if two members have one name.
        DataError: if predictions and labels do not belong together; see `check_predictions`.
    """
    names = [member.name for member in members]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise OptionError(f"Members should have names of their own. Received twice: {twice}.")
    return check_predictions([member.predictions for member in members], labels)

"""Sentences about a run: its data, its search, its results and the next steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.records import (
    COMPLETED,
    FAILED,
    INFEASIBLE,
    PAUSED,
    PRUNED,
    REFITTED,
    UNEVEN,
    TrialRecord,
)
from kt_tuning.core.units import count

if TYPE_CHECKING:
    from kt_tuning.data import ImageData
    from kt_tuning.evaluation import Scores

REASONS = 3
"""Largest number of reasons of failed trials."""
REASON_LENGTH = 100
"""Largest number of characters of a reason."""
CUT_SHORT = "cut short by the time limit"
_CHANNELS = {1: "grey", 3: "RGB"}


def data_summary(data: ImageData) -> list[str]:
    """Return lines on the number of images, their classes and splits, and their size."""
    parts = ("train", "validation", "test")
    train, validation, test = (len(data.indices[part]) for part in parts)
    used = np.concatenate([data.indices[part] for part in parts])
    sizes = np.bincount(data.labels[used], minlength=data.classes)
    least, most = int(sizes.argmin()), int(sizes.argmax())
    if sizes[least] == sizes[most]:
        each = f"{count(int(sizes[least]), 'image')} each"
    else:
        each = (
            f"from {sizes[least]:,} images ({data.class_names[least]}) to {sizes[most]:,} "
            f"({data.class_names[most]})"
        )
    height, width, channels = data.input_shape
    origin = f" ({data.size_origin})" if data.size_origin else ""
    return [
        f"{count(len(used), 'image')} in {count(data.classes, 'class', 'classes')}, {each}: "
        f"{train:,} for training, {validation:,} for validation, {test:,} for the final test.",
        f"Images are {width}×{height} pixels, {_CHANNELS.get(channels, f'{channels} channels')}"
        f"{origin}.",
    ]


def uneven_summary(
    data: ImageData, objective: str | Sequence[str], balance: Sequence[str]
) -> str | None:
    """Return how trials are ranked if classes differ in size; None if they hardly do.

    Args:
        data: The images.
        objective: Of the search.
        balance: How classes are balanced in training, see `Recipe`.
    """
    sizes = np.bincount(data.labels[data.indices["train"]], minlength=data.classes)
    if sizes.max() < UNEVEN * sizes.min():
        return None
    names = (objective,) if isinstance(objective, str) else tuple(objective)
    told = f"Classes are imbalanced. Trials are ranked by {', '.join(names)}"
    if {"val_accuracy", "val_loss"}.issuperset(names):
        told += (
            ", in which all images have the same weight, so that frequent classes dominate. To "
            "give all classes the same weight: --objective val_balanced_accuracy"
        )
    told += ". Both accuracies are reported."
    if set(balance) <= {"none"}:
        told += " To give rare classes more weight in training: --balance weights."
    return told


def search_summary(
    hypermodels: Sequence[str],
    *,
    max_trials: int | None,
    epochs: int,
    time_limit: str | float | None,
    out: Path,
) -> str:
    """Return the families, the limits and the run directory of a search."""
    limits = [] if max_trials is None else [f"at most {count(max_trials, 'trial')}"]
    if time_limit is not None:
        limits.append(f"at most {time_limit}{'' if isinstance(time_limit, str) else ' s'}")
    return (
        f"Searching {', '.join(hypermodels)}: {' and '.join(limits)}, each trial up to "
        f"{count(epochs, 'epoch')}. All files are written to {out}."
    )


def test_summary(scores: Scores) -> str:
    """Return the accuracy, its interval, and that of always predicting the most frequent class."""
    confusion = np.asarray(scores.confusion)
    right, guessed = int(np.trace(confusion)), confusion.sum(axis=1)
    accuracy = scores.metrics["accuracy"]
    return (
        f"{right:,} of {scores.images:,} {scores.split} images are classified correctly "
        f"({accuracy.value:.1%}, 95% interval {accuracy.low:.1%} to {accuracy.high:.1%}); always "
        f"answering {scores.class_names[int(guessed.argmax())]!r}, their most frequent class, "
        f"would get {guessed.max() / max(1, guessed.sum()):.1%}."
    ) + _mean_over_classes(confusion)


def _mean_over_classes(confusion: NDArray[np.int64]) -> str:
    """Return the balanced accuracy if classes are imbalanced; else an empty text."""
    images = confusion.sum(axis=1)
    there = images > 0
    if images.max() < UNEVEN * images.min():
        return ""
    recalls = confusion.diagonal()[there] / images[there]
    return f" The mean over the classes is {recalls.mean():.1%} (balanced accuracy)."


def refit_summary(models: int) -> str:
    """Return that the models were trained again after the search."""
    subject = "The model was" if models == 1 else f"The {models} models were"
    return f"{subject} {REFITTED} after the search; validation scores were measured before that."


def trials_summary(trials: Sequence[TrialRecord]) -> str:
    """Return the number of trials that were trained to the end, and the states of the others."""
    whole = sum(trial.status == COMPLETED and not trial.message for trial in trials)
    parts = [f"{whole:,} of {count(len(trials), 'trial')} trained to the end"]
    for status, name, reasons in (
        (PRUNED, "stopped early by the pruner", False),
        (PAUSED, "paused", False),
        (COMPLETED, "shortened", True),
        (INFEASIBLE, "infeasible", True),
        (FAILED, "failed", True),
    ):
        found = [trial for trial in trials if trial.status == status]
        if status == COMPLETED:
            found = [trial for trial in found if trial.message]
        if found:
            parts.append(f"{len(found):,} {name}{f' ({_reasons(found)})' if reasons else ''}")
    return f"{', '.join(parts)}."


def next_steps(out: Path, export: Path) -> list[str]:
    """Return lines with the next commands."""
    steps = [
        ("show the report", f"kt-tuning report {out} --open"),
        ("classify images", f"kt-tuning predict {export} IMAGE…"),
        ("search longer", "the same command with a larger --max-trials or --time-limit"),
    ]
    width = max(len(what) for what, _ in steps)
    return [f"{what:<{width}}  {how}" for what, how in steps]


def _reasons(trials: Sequence[TrialRecord]) -> str:
    """Return the most frequent messages, each with its number if there are several."""
    lines = Counter(_first_line(trial.message) for trial in trials)
    if len(lines) == 1:
        return next(iter(lines))
    told = [f"{number:,} {reason}" for reason, number in lines.most_common(REASONS)]
    return "; ".join(told + (["…"] if len(lines) > REASONS else []))


def _first_line(message: str | None) -> str:
    line = (message or "no reason is known").partition("\n")[0]
    if line.endswith("time limit") or line.startswith(CUT_SHORT):
        return "by the time limit"
    return line if len(line) <= REASON_LENGTH else f"{line[: REASON_LENGTH - 1]}…"

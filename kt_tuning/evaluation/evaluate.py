"""Measure a model on images that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kt_tuning.core.errors import OptionError
from kt_tuning.core.quiet import without_retracing_advice
from kt_tuning.evaluation.bootstrap import bootstrap_intervals
from kt_tuning.evaluation.cost import LATENCY_CALLS, LATENCY_SECONDS, measure_latency
from kt_tuning.evaluation.diagnostics import (
    class_curves,
    confusion_matrix,
    measure_reliability,
    worst_mistakes,
)
from kt_tuning.evaluation.metrics import check_labels
from kt_tuning.evaluation.optional_parts import GENERALIZATION, Parts, measure_parts
from kt_tuning.evaluation.predict import Predicted, Split, predict_function, predict_probabilities
from kt_tuning.evaluation.scores import Scores
from kt_tuning.evaluation.test_uses import model_digest, note_use_of


@without_retracing_advice()
def evaluate(
    model: Any,
    data: Any,
    *,
    parts: Parts | Sequence[str] = (),
    bootstrap: int = 1000,
    seed: int = 0,
    class_names: Sequence[str] | None = None,
    seen: bool = False,
    out_of_fold: Predicted | None = None,
) -> Scores:
    """Measure every metric with its 95% interval, confusion, curves, mistakes, size and latency.

    The test split of an `ImageData` is there to be looked at once. So each use of it is noted, with
    a digest of the model, before the model sees an image of it: in the run directories of the
    searches on these data, or in the user's cache folder if there are none yet; a search takes the
    note over. When another model is measured on it, a warning says what that does to its scores.
    `tuner.evaluate()` also keeps the scores for the report.

    Images are taken and predicted 256 at a time, so a split larger than memory is fine. 1,000
    resamples of 10,000 rows and 10 classes take about two seconds. More is measured if asked for:
    `parts` names it.

    Args:
        model: An `Ensemble`, a `keras.Model`, an object with `predict`, or a callable: uint8
            images (n, H, W, C) -> probabilities (n, C). Called is its `predict_on_batch` if it
            has one (in Keras the compiled path that neither prints nor sets up an epoch), else
            its `predict`, else itself; latency is timed through the same.
        data: The images and labels, never shown to the model before: a split; or an `ImageData`,
            of which the test split is taken.
        parts: Some of `PARTS`: "generalization", the gaps from train to validation to test, which
            needs an `ImageData`; "cost", arithmetic, bytes and throughput; "corruptions", 15 kinds
            at 5 severities; "attacks", FGSM and PGD. All but "cost" are measured on as many
            images as take a minute each, or on those of `Parts(names, images=…)`.
        bootstrap: Resamples behind an interval, at least 1.
        seed: Seed of the resamples.
        class_names: (C,) names by label. If None, those of the `ImageData`, of the model's
            `card`, which an `Ensemble` has, or "0", "1", ….
        seen: Whether the model was trained on the validation images, too, as with folds and after
            a refit: the gaps are then those from train and validation together to test.
        out_of_fold: If it was, predictions of these images by models that were not trained on
            them, one line of the gaps.

    Returns:
        The scores; `split` in them is the split's `name`, or "test" if it has none.

    Raises:
        DataError: if the split is empty, its labels do not fit the model's classes, or what the
            model returns is not one distribution an image.
        OptionError: on a model that cannot be called, `bootstrap` below 1, the wrong number of
            class names, an unknown part, or one that cannot be measured on this model.
        StorageError: if the use of a test split cannot be noted in a run directory.
    """
    wanted = Parts.of(parts)
    split: Split = data
    earlier: dict[str, Split] = {}
    if all(hasattr(data, name) for name in ("train", "validation", "test")):
        split, earlier = data.test, {"train": data.train, "validation": data.validation}
        class_names = data.class_names if class_names is None else class_names
    if GENERALIZATION in wanted.names and not earlier:
        raise OptionError(
            "The part 'generalization' compares the test split with those before it. Give "
            "`evaluate` all of the data and not one split: evaluate(model, data, …)."
        )
    if bootstrap < 1:
        raise OptionError(f"bootstrap should be 1 or more resamples. Received: {bootstrap}.")
    predict = predict_function(model)
    note_use_of(split, model, by="evaluate")
    probabilities = predict_probabilities(model, split)
    labels = np.asarray(split.labels)
    check_labels(labels, probabilities)
    card = getattr(model, "card", None)
    known_names = card.class_names if class_names is None and card is not None else class_names
    rng = np.random.default_rng(seed)
    one = split.take(np.array([0]))
    scores = Scores(
        metrics=bootstrap_intervals(labels, probabilities, resamples=bootstrap, rng=rng),
        confusion=confusion_matrix(labels, probabilities).tolist(),
        class_names=_class_names(known_names, probabilities.shape[1]),
        images=len(labels),
        parameters=int(model.count_params()) if hasattr(model, "count_params") else None,
        latency_ms=measure_latency(predict, one, repeats=LATENCY_CALLS, seconds=LATENCY_SECONDS),
        split=getattr(split, "name", "test"),
        model=model_digest(model),
        curves=class_curves(labels, probabilities),
        mistakes=worst_mistakes(labels, probabilities),
        reliability=measure_reliability(labels, probabilities),
    )
    return measure_parts(
        scores,
        wanted,
        model,
        split,
        earlier,
        Predicted(labels, probabilities),
        seen=seen,
        out_of_fold=out_of_fold,
        bootstrap=bootstrap,
        seed=seed,
    )


def _class_names(names: Sequence[str] | None, classes: int) -> tuple[str, ...]:
    if names is None:
        return tuple(str(label) for label in range(classes))
    if len(names) != classes:
        raise OptionError(
            f"The model has {classes} classes, so class_names should have {classes} names. "
            f"Received: {len(names)}."
        )
    return tuple(names)

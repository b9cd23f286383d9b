"""Evaluation of a model on the test split of a run: scores, a gallery, and a note of the use."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kt_tuning.core.errors import DataError
from kt_tuning.data import ImageData
from kt_tuning.ensembling import read_scores, read_validated, trained_on_validation
from kt_tuning.evaluation import Parts, Predicted, Scores, evaluate, make_gallery, model_digest
from kt_tuning.finalize.final_model import final_model_digest
from kt_tuning.run import Run
from kt_tuning.run.layout import GALLERY, SCORES

logger = logging.getLogger("kt_tuning")


def evaluate_run(
    model: Any,
    data: ImageData,
    directory: str | Path,
    *,
    parts: Parts | Sequence[str] = (),
    bootstrap: int = 1000,
    seed: int = 0,
) -> Scores:
    """Evaluate a model on the test split of a run's data, and note the use in the run.

    `test_uses.json` names the model before the split is opened. Scores of the run's final model go
    to `scores.json`, together with parts that were measured of it before; its worst mistakes and
    where it looks go to `gallery.json`. Scores of any other model are returned and not kept.

    Args:
        model: The run's ensemble, its final model (see `load_final_model`), or any other model.
        data: The data that the search was run on.
        directory: The run directory.
        parts: See `kt_tuning.evaluate`.
        bootstrap: Resamples per interval, at least 1.
        seed: Seed of the resamples, corruptions and attacks.

    Raises:
        DataError: if the search was run on other data.
        OptionError: if an argument is wrong, or a part cannot be measured on this model.
        StorageError: if a file in the directory cannot be read or written.
    """
    directory = Path(directory)
    known = Run(directory).read_data().fingerprint
    if known != data.fingerprint:
        raise DataError(
            f"The search of {directory} was run on other data: fingerprint {known[:12]}. Received: "
            f"{data.fingerprint[:12]}. Evaluate on the data that were searched on."
        )
    if directory.resolve() not in [folder.resolve() for folder in data.runs]:
        data.runs.append(directory)
    seen = trained_on_validation(directory)
    validated = read_validated(directory) if seen else None
    out_of_fold = None
    if validated is not None:
        out_of_fold = Predicted(validated.labels, validated.probabilities)
    scores = evaluate(
        model,
        data,
        parts=_as_before(Parts.of(parts), directory, model),
        bootstrap=bootstrap,
        seed=seed,
        seen=seen,
        out_of_fold=out_of_fold,
    )
    if scores.model is None or scores.model != final_model_digest(directory):
        logger.info("Scores are not kept: the model is not the ensemble of %s.", directory)
        return scores
    if (earlier := read_scores(directory)) is not None:
        scores = scores.completed_by(earlier)
    scores.save(directory / SCORES)
    make_gallery(model, data.test, scores.mistakes).save(directory / GALLERY)
    return scores


def _as_before(parts: Parts, directory: Path, model: Any) -> Parts:
    """Measure corruptions on the images of earlier attacks, and attacks on those of corruptions.

    Only figures of the same images can stand in one table. The number is that of the earlier
    evaluation of the same model, unless another one is asked for.
    """
    earlier = read_scores(directory)
    if parts.images is not None or earlier is None or earlier.robustness is None:
        return parts
    one_of_two = len({"corruptions", "attacks"} & set(parts.names)) == 1
    if not one_of_two or earlier.model != model_digest(model):
        return parts
    return dataclasses.replace(parts, images=earlier.robustness.images)

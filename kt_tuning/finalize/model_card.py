"""MODEL_CARD.md: what users of an exported model should know."""

from __future__ import annotations

import functools
import html
import re
from collections import Counter
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from kt_tuning.core.atomic import atomic_write
from kt_tuning.core.errors import StorageError
from kt_tuning.core.json_record import read_json
from kt_tuning.core.records import REFITTED, UNEVEN, DataCard, backbones_of
from kt_tuning.ensembling.run_files import RunRecords
from kt_tuning.export import Measurement, accuracy_note
from kt_tuning.export.export_source import PROVENANCE_FILE
from kt_tuning.export.measurement import MEASUREMENT_HEADER, measurement_rows

MODEL_CARD_FILE, MODEL_CARD_TEMPLATE = "MODEL_CARD.md", "model_card.md"


def write_model_card(
    records: RunRecords | str | Path, folder: str | Path, measurement: Measurement | None = None
) -> Path:
    """Write the model card of an export, from the records of its run.

    Sections whose source is missing say so, or are left out.

    Args:
        records: The records of the run, or its directory.
        folder: The export's folder, with its `provenance.json`.
        measurement: Size, speed and accuracy of the export, if they were measured.

    Returns:
        The file.

    Raises:
        StorageError: if a record cannot be read, or the card not be written.
    """
    if not isinstance(records, RunRecords):
        records = RunRecords.load(records)
    folder = Path(folder)
    provenance = read_json(folder / PROVENANCE_FILE)
    versions = provenance.get("versions")
    text = (
        _environment()
        .get_template(MODEL_CARD_TEMPLATE)
        .render(
            **_content(records, measurement),
            created=provenance.get("created", "at an unknown time"),
            versions=versions if isinstance(versions, dict) else {},
        )
    )
    path = folder / MODEL_CARD_FILE
    try:
        # Names of folders may hold characters that UTF-8 cannot encode.
        with atomic_write(path, durable=False) as temporary:
            temporary.write_bytes(f"{text.strip()}\n".encode("utf-8", "replace"))
    except OSError as error:
        raise StorageError(f"Cannot write {path}: {error.strerror or error}.") from error
    return path


@functools.cache
def _environment() -> jinja2.Environment:
    """Return the template's environment; every value is escaped for Markdown and HTML."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader(__name__.rpartition(".")[0]),
        autoescape=True,
        finalize=escape_markdown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["code"] = code
    return made


def _content(records: RunRecords, measurement: Measurement | None) -> dict[str, Any]:
    """Return the template's variables."""
    trials = [trial for trial, _, _ in records.members]
    names = dict.fromkeys(name for trial in trials for name in trial.values)
    metrics = {} if records.scores is None else records.scores.metrics
    measured = [] if measurement is None else [measurement]
    return {
        "records": records,
        "data": records.card,
        "pixels": records.card.pixels,
        "search": records.search,
        "ensemble": records.ensemble,
        "scores": records.scores,
        "class_counts": _class_counts(records.card),
        "states": Counter(trial.status.lower() for trial in records.trials),
        "fitted_on": _fitted_on(records),
        "members": [
            (
                *(trial.trial_id, f"{weight:.3f}", f"{temperature:.3f}"),
                *(f"{trial.parameters:,}", trial.best_epoch + 1),
            )
            for trial, weight, temperature in records.members
        ],
        "trial_ids": [trial.trial_id for trial in trials],
        "values": [(name, *(trial.values.get(name, "–") for trial in trials)) for name in names],
        "backbones": backbones_of(trials),
        "metrics": [(name, f"{found.value:.4f}", found.limits) for name, found in metrics.items()],
        "caveat": records.caveat,
        "measurement": measurement,
        "measured_on": accuracy_note(measured) if measured else "",
        "measurement_header": list(MEASUREMENT_HEADER),
        "measurements": measurement_rows(measured),
        "limits": limits(records, measurement),
    }


def _class_counts(data: DataCard) -> list[tuple[str, ...]]:
    """Return one row per class with its images in each split, and a last row with all images."""
    splits = data.counts.values()
    rows = [
        (name, *(f"{counts[label]:,}" for counts in splits))
        for label, name in enumerate(data.class_names)
        if all(label < len(counts) for counts in splits)
    ]
    return [*rows, ("all", *(f"{sum(counts):,}" for counts in splits))]


def _fitted_on(records: RunRecords) -> str:
    if records.refitted:
        return (
            "validation predictions of models that were trained without these images; the models "
            f"were then {REFITTED}"
        )
    if records.search.folds > 1:
        return (
            "out-of-fold predictions: on training and validation images, each predicted by models "
            f"that were not trained on it. The model is the mean over {records.search.folds} folds"
        )
    return "the validation images"


FEW = 100
"""Training images of a class below which a warning is due."""
_WEAKEST = 3


def limits(records: RunRecords, measurement: Measurement | None) -> list[str]:
    """Return one sentence per limit."""
    names, pixels = records.card.class_names, records.card.pixels
    found = [
        f"It answers with one of its {len(names)} classes whatever an image shows. It was tested "
        "on images from the same source as its training images.",
        f"Images are resized to {pixels.height} × {pixels.width} pixels: the model cannot see "
        "smaller details.",
    ]
    found += _of_the_data(records)
    found += _of_the_scores(records)
    if measurement is not None and measurement.sparsity is not None:
        found.append(
            f"{measurement.sparsity:.0%} of the weights were pruned after the test scores were "
            "measured: "
            + (
                "the accuracy of the pruned model is not known."
                if measurement.accuracy is None
                else "only the validation accuracy of the pruned model is known, see above."
            )
        )
    return found


def _of_the_data(records: RunRecords) -> list[str]:
    names = records.card.class_names
    counts = np.array(records.card.counts.get("train", ()))
    if len(counts) != len(names) or counts.min() < 1:
        return []
    found = []
    few = [name for name, count in zip(names, counts, strict=True) if count < FEW]
    if few:
        found.append(f"Classes with fewer than {FEW} training images: {_listed(few)}.")
    if counts.max() >= UNEVEN * counts.min():
        most, least = names[counts.argmax()], names[counts.argmin()]
        found.append(
            f"Classes are imbalanced: {counts.max():,} training images of {most}, "
            f"{counts.min():,} of {least}."
        )
    return found


def _of_the_scores(records: RunRecords) -> list[str]:
    scores = records.scores
    if scores is None:
        return ["Its accuracy on new images is not known."]
    found = []
    confusion = np.array(scores.confusion)
    totals = confusion.sum(axis=1)
    recall = np.divide(confusion.diagonal(), totals, out=np.ones(len(totals)), where=totals > 0)
    weak = [label for label in np.argsort(recall, kind="stable")[:_WEAKEST] if recall[label] < 1]
    if weak:
        cells = ", ".join(f"{scores.class_names[label]} ({recall[label]:.0%})" for label in weak)
        found.append(f"Classes with the lowest recall: {cells}.")
    if scores.robustness is None:
        found.append("Robustness (noise, blur, weather, attacks) has not been measured.")
    return found


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"


_MARKUP = re.compile(r"([\\`*_{}\[\]#|~])")


def escape_markdown(text: object) -> Markup:
    """Return text that Markdown and HTML show as it is, on one line; markup stays as it is."""
    if isinstance(text, Markup):
        return text
    line = " ".join(str(text).split())
    return Markup(_MARKUP.sub(r"\\\1", html.escape(line, quote=False)))


def code(text: object) -> Markup:
    """Return text as a code span, on one line, whatever back-ticks it has."""
    line = " ".join(str(text).split())
    runs = [len(run) for run in re.findall("`+", line)]
    fence = "`" * (max(runs, default=0) + 1)
    padding = " " if runs else ""
    return Markup(f"{fence}{padding}{line}{padding}{fence}")

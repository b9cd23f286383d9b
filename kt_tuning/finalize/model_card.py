"""MODEL_CARD.md: facts that somebody should know before using an exported model.

Source: Mitchell et al. (2019), "Model cards for model reporting".
"""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path
from typing import Any

import jinja2

from kt_tuning.core.errors import StorageError
from kt_tuning.core.json_record import read_json
from kt_tuning.core.records import REFITTED, DataCard, backbones_of
from kt_tuning.export import (
    MEASUREMENT_HEADER,
    PROVENANCE_FILE,
    Measurement,
    accuracy_note,
    measurement_rows,
)
from kt_tuning.finalize.export_measurement import MODEL_CARD_FILE
from kt_tuning.finalize.limits import limits
from kt_tuning.finalize.markdown import code, escape_markdown
from kt_tuning.finalize.run_records import RunRecords

MODEL_CARD_TEMPLATE = "model_card.md"


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
        path.write_bytes(f"{text.strip()}\n".encode("utf-8", "replace"))
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
        "data": records.data,
        "pixels": records.data.pixels,
        "search": records.search,
        "ensemble": records.ensemble,
        "scores": records.scores,
        "class_counts": _class_counts(records.data),
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
        "caveat": records.uses.caveat(records.trials),
        "measurement": measurement,
        "measured_on": accuracy_note(measured) if measured else "",
        "measurement_header": list(MEASUREMENT_HEADER),
        "measurements": measurement_rows(measured),
        "limits": limits(records, measurement),
    }


def _class_counts(data: DataCard) -> list[tuple[str, ...]]:
    """Return a row a class of its images in each split, and a last row of all images."""
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

"""MODEL_CARD.md: what somebody should know before using an exported model.

Source: Mitchell et al. (2019), "Model cards for model reporting".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from kt_tuning.core.errors import StorageError
from kt_tuning.core.json_record import read_json
from kt_tuning.core.records import REFITTED, TrialRecord, backbones_of
from kt_tuning.export import (
    MEASUREMENT_HEADER,
    PROVENANCE_FILE,
    Measurement,
    accuracy_note,
    measurement_rows,
)
from kt_tuning.finalize.export_measurement import MODEL_CARD_FILE
from kt_tuning.finalize.limits import limits
from kt_tuning.finalize.markdown import bullets, code, plain, table
from kt_tuning.finalize.run_records import RunRecords


def write_model_card(
    records: RunRecords | str | Path, folder: str | Path, measurement: Measurement | None = None
) -> Path:
    """Write the model card of an export, from the records of its run.

    Sections whose source is missing say so, or are left out.

    Args:
        records: Of the run, or its directory.
        folder: The export's, with its `provenance.json`.
        measurement: Of the export, if it was measured.

    Returns:
        The file.

    Raises:
        StorageError: if a record cannot be read, or the card not be written.
    """
    if not isinstance(records, RunRecords):
        records = RunRecords.load(records)
    folder = Path(folder)
    provenance = read_json(folder / PROVENANCE_FILE)
    parts = [_title(records), *_sections(records), _measured(measurement)]
    parts += [_section("Limits", bullets(limits(records, measurement))), _versions(provenance)]
    path = folder / MODEL_CARD_FILE
    try:
        # Names of folders may hold what is no text.
        path.write_bytes(("\n\n".join(filter(None, parts)) + "\n").encode("utf-8", "replace"))
    except OSError as error:
        raise StorageError(f"Cannot write {path}: {error.strerror or error}.") from error
    return path


def _sections(records: RunRecords) -> list[str]:
    return [_section(title, describe(records)) for title, describe in SECTIONS.items()]


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}"


def _title(records: RunRecords) -> str:
    names, pixels = records.data.class_names, records.data.pixels
    return (
        f"# {plain(records.name)}: an image classifier\n\n"
        f"It takes uint8 pixels, 0 to 255, of shape (n, {pixels.height}, {pixels.width}, "
        f"{pixels.channels}), and returns calibrated probabilities, (n, {len(names)}), in the "
        "order of `labels.txt`. What rescales, combines and calibrates is inside the model."
    )


def _data(records: RunRecords) -> str:
    data = records.data
    parts = list(data.counts)
    counts = [
        (name, *(f"{data.counts[part][label]:,}" for part in parts))
        for label, name in enumerate(data.class_names)
        if all(label < len(data.counts[part]) for part in parts)
    ]
    totals = ("all", *(f"{sum(data.counts[part]):,}" for part in parts))
    source = bullets([f"source: {plain(data.source)}", f"fingerprint: {code(data.fingerprint)}"])
    return f"{source}\n\n{table(('images', *parts), [*counts, totals])}"


def _search(records: RunRecords) -> str:
    search = records.search
    states: dict[str, int] = {}
    for trial in records.trials:
        states[trial.status.lower()] = states.get(trial.status.lower(), 0) + 1
    found = ", ".join(f"{count} {state}" for state, count in states.items()) or "none"
    trainings = (
        ""
        if search.folds * search.executions == 1
        else (f", each on {search.folds} folds, {search.executions} times")
    )
    return bullets(
        [
            f"hypermodel: {plain(search.hypermodel)}",
            f"objective: {code(search.objective)} ({search.direction})",
            f"strategy: {plain(search.strategy)}, seed {search.seed}",
            f"trials: {found}; at most {search.epochs} epochs{trainings}",
        ]
    )


def _model(records: RunRecords) -> str:
    ensemble = records.ensemble
    if ensemble is None:
        return "The run has no record of which trials were combined."
    if not records.members:
        return f"{len(ensemble.trial_ids)} models; the run has no record of their trials."
    lines = [
        f"{len(records.members)} of the trials, combined by {code(ensemble.solver)} "
        f"({ensemble.pool} mean); weights and temperatures were fitted on {_fitted_on(records)}."
    ]
    lines.append(
        table(
            ("trial", "weight", "temperature", "parameters", "best epoch"),
            [
                (
                    trial.trial_id,
                    f"{weight:.3f}",
                    f"{heat:.3f}",
                    f"{trial.parameters:,}",
                    trial.best_epoch + 1,
                )
                for trial, weight, heat in records.members
            ],
        )
    )
    names = dict.fromkeys(name for trial, _, _ in records.members for name in trial.values)
    header = ("hyperparameter", *(trial.trial_id for trial, _, _ in records.members))
    values = [
        (name, *(trial.values.get(name, "–") for trial, _, _ in records.members)) for name in names
    ]
    if values:
        lines.append(table(header, values))
    if backbones := backbones_of(trial for trial, _, _ in records.members):
        lines.append(
            "Pre-trained networks inside, whose licences and training data are those of others:"
        )
        lines.append(bullets(_backbone(origin, users) for origin, users in backbones))
    return "\n\n".join(lines)


def _backbone(origin: Mapping[str, str | None], users: Sequence[TrialRecord]) -> str:
    told = {name: origin.get(name) for name in ("licence", "data", "source", "digest")}
    facts = "; ".join(f"{name}: {plain(value or 'not known')}" for name, value in told.items())
    numbers = ", ".join(trial.trial_id for trial in users)
    return f"{plain(origin.get('name'))} (trial {numbers}): {facts}"


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


def _scores(records: RunRecords) -> str:
    scores = records.scores
    if scores is None:
        return "The model has not been judged on test images: `kt-tuning evaluate` does that."
    metrics = [(name, f"{item.value:.4f}", item.limits) for name, item in scores.metrics.items()]
    text = (
        f"On {scores.images:,} {plain(scores.split)} images that neither training nor search has "
        f"seen.\n\n{table(('metric', 'value', '95% interval'), metrics)}"
    )
    if scores.robustness is not None and scores.robustness.corrupted:
        found = scores.robustness
        text += (
            f"\n\nOn {found.sample}, corrupted (15 kinds, severities {plain(found.severities)}): "
            f"{code(found.metric)} {found.mean():.4f}, {found.clean:.4f} without corruption."
        )
    return text


def _corrections(records: RunRecords) -> str:
    notes = []
    if records.correction is None:
        notes.append("Best validation score: the run kept nothing to correct it by.")
    else:
        notes.append(f"Best validation score: {plain(records.correction)}.")
    caveat = records.uses.caveat(records.trials)
    if caveat is not None:
        notes.append(plain(caveat))
    elif records.uses.uses:
        notes.append(f"The test split was first opened on {records.uses.uses[0].date}.")
    if records.ensemble is not None and records.ensemble.reliability is not None:
        error = records.ensemble.reliability.expected_error
        of_what = "on validation images"
        if records.ensemble.folds > 1:
            of_what = (
                "on out-of-fold predictions, which are of the models of one fold (that of the mean "
                "over all folds is measured on test images alone)"
            )
        notes.append(
            f"Expected calibration error {error:.4f}, cross-fitted {of_what}; each member's epoch "
            "was chosen on these images, too, which is not corrected."
        )
    return bullets(notes)


SECTIONS: dict[str, Callable[[RunRecords], str]] = {
    "Data": _data,
    "Search": _search,
    "Model": _model,
    "Scores": _scores,
    "Corrections": _corrections,
}
"""What the run's records are told as, in this order."""


def _measured(measurement: Measurement | None) -> str | None:
    if measurement is None:
        return None
    return _section(
        "This export",
        f"Compared with the Keras model on {measurement.images:,} validation images, and measured "
        f"on the machine that exported it. {accuracy_note([measurement])}\n\n"
        + table(MEASUREMENT_HEADER, measurement_rows([measurement])),
    )


def _versions(provenance: dict[str, object]) -> str:
    versions = provenance.get("versions")
    found = versions.items() if isinstance(versions, dict) else ()
    created = plain(provenance.get("created", "at an unknown time"))
    listed = bullets(f"{plain(name)} {plain(version)}" for name, version in found)
    return _section("Versions", f"Exported {created} with\n\n{listed}")

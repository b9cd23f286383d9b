"""`finalize`, `evaluate` and `export`: from the trials of a run to a served model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kt_tuning.cli.options import ImagesNow, Quiet, RunFolder, open_tuner
from kt_tuning.core.quiet import import_tensorflow

if TYPE_CHECKING:
    from kt_tuning.pipeline import RunOutcome


def finalize(run_directory: RunFolder, data: ImagesNow = None, quiet: Quiet = False) -> None:
    """Combine, evaluate, export and report the trials of a run so far, without continuing it.

    For a run that was interrupted, or for a search in Python. Finished and paused trials are used.
    The search can continue afterwards; the use of the test images is recorded.
    """
    print_outcome(open_tuner(run_directory).finalize(data, verbose=not quiet))


def print_outcome(outcome: RunOutcome) -> None:
    """Print the scores of a run and where its files are."""
    print(outcome.scores)
    if outcome.correction is not None:
        print(f"best validation score  {outcome.correction}")
    print(f"model   {outcome.export}")
    print(f"report  {outcome.report}\n\n{outcome}")
    if outcome.warning is not None:
        print(f"\nWarning: {outcome.warning}")


def evaluate(
    run_directory: RunFolder,
    part: Annotated[
        list[str] | None,
        typer.Option(
            help="Part to measure besides the scores: generalization, cost, corruptions, attacks "
            "or none; may be repeated. Earlier results for the same model are kept.",
            show_default="all four",
        ),
    ] = None,
    data: ImagesNow = None,
    images: Annotated[
        str | None,
        typer.Option(
            help="Number of test images for corruptions and attacks, and of training and "
            "validation images for generalization, or all. They are drawn at random, "
            "stratified by class.",
            show_default="as many as take about a minute per part, at least 50",
        ),
    ] = None,
    bootstrap: Annotated[int, typer.Option(help="Number of resamples for an interval.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Evaluate the final model of a run on its test images, and write the report again.

    Measures all metrics with intervals, the gaps between training, validation and test scores,
    multiply-adds, latency and throughput, and the robustness to 15 corruptions at 5 severities and
    to two attacks (FGSM and PGD). Parts that would take more than a minute are measured on some of
    the images; the tables state the number. The use of the test split is recorded; the report of a
    search that continues afterwards says so.
    """
    from kt_tuning.evaluation import PARTS, Parts, corrected_best_of_run

    names = tuple(PARTS) if not part else tuple(name for name in part if name != "none")
    parts = Parts(names, images=images, progress=not quiet)
    import_tensorflow()
    from kt_tuning.finalize import evaluate_run, load_final_model, load_run_data
    from kt_tuning.report import write_report

    images_of_run = load_run_data(run_directory, data, progress=not quiet)
    model = load_final_model(run_directory)
    scores = evaluate_run(
        model, images_of_run, run_directory, parts=parts, bootstrap=bootstrap, seed=seed
    )
    print(scores)
    for table in (scores.generalization, scores.robustness):
        if table is not None:
            print(f"\n{table}")
    if (correction := corrected_best_of_run(run_directory)) is not None:
        print(f"\nbest validation score  {correction}")
    print(f"report  {write_report(run_directory)}")


COMPRESSION = "Compression"


def export(
    run_directory: RunFolder,
    format: Annotated[
        list[str] | None,
        typer.Option(
            help="Format: saved_model, keras, litert, litert_float16, litert_int8, onnx or "
            "openvino; may be repeated.",
            show_default="saved_model",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write, which must not exist; only with a single format.",
            show_default="the next version in export/ of the run directory",
        ),
    ] = None,
    data: ImagesNow = None,
    images: Annotated[
        int,
        typer.Option(
            help="Largest number of validation images on which exports and model are compared."
        ),
    ] = 1000,
    sparsity: Annotated[
        float | None,
        typer.Option(
            help="Share of the kernel weights to prune to zero before the export, above 0 and "
            "below 1.",
            show_default="no pruning",
            rich_help_panel=COMPRESSION,
        ),
    ] = None,
    rounds: Annotated[
        int,
        typer.Option(help="Number of rounds of pruning and training.", rich_help_panel=COMPRESSION),
    ] = 4,
    epochs: Annotated[
        int, typer.Option(help="Training epochs of each round.", rich_help_panel=COMPRESSION)
    ] = 1,
    seed: Annotated[
        int, typer.Option(help="Seed of the choice of images, and of the training when pruning.")
    ] = 0,
    quiet: Quiet = False,
) -> None:
    """Export the final model of a run; each export is checked, measured and described.

    Each export is loaded into its runtime and compared with the Keras model on validation images:
    all labels must agree (99.5% for litert_float16, 99% for litert_int8), or nothing is written. A
    SavedModel is written to export/<version>, other formats to export/<format>/<version>, with
    labels.txt, provenance.json and MODEL_CARD.md. The size, the time for one image and the accuracy
    on validation images of all exports of the run are printed. After a search with folds the
    accuracy is out-of-fold; after a refit there is none, since the models were trained on the
    validation images.
    """
    from kt_tuning.export import format_named

    formats = tuple(format or ("saved_model",))
    for name in formats:
        format_named(name).check_installed()
    import_tensorflow()
    from kt_tuning.core.progress import progress
    from kt_tuning.export import accuracy_note, measurements
    from kt_tuning.finalize import Pruning, export_run, load_final_model, load_run_data
    from kt_tuning.finalize.export import format_table

    pruning = None if sparsity is None else Pruning(sparsity, rounds, epochs)
    model = load_final_model(run_directory)
    images_of_run = load_run_data(run_directory, data, progress=not quiet)
    with progress(f"Exporting {', '.join(formats)}", shown=not quiet):
        made = export_run(
            run_directory,
            model,
            images_of_run,
            formats,
            path=out,
            images=images,
            pruning=pruning,
            seed=seed,
        )
    found = measurements(run_directory) if out is None else made
    print(format_table(found))
    print(accuracy_note(found))


def report(
    run_directory: RunFolder,
    open_: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
) -> None:
    """Write report.html from the files of a run directory; also while the search is running."""
    from kt_tuning.report import Report, write_report

    page = Report(write_report(run_directory))
    print(page.path)
    if open_ and not page.open():
        print("No browser was found. Open that file in a browser.", file=sys.stderr)

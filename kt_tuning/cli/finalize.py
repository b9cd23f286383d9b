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
    """Combine, evaluate, export and report the trials of a run so far, without searching further.

    For a run that was interrupted, or a search in Python. Finished and paused trials count. The
    search can continue afterwards; that the test images were used meanwhile is noted.
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
            help="generalization, cost, corruptions, attacks; or none: the scores alone. May be "
            "repeated. What was measured of the same model before is kept.",
            show_default="all four",
        ),
    ] = None,
    data: ImagesNow = None,
    images: Annotated[
        str | None,
        typer.Option(
            help="Test images for corruptions and attacks, and images of each earlier split for "
            "generalization: a number or all. They are chosen at random, each class by its share.",
            show_default="as many as take about a minute a part, at least 50",
        ),
    ] = None,
    bootstrap: Annotated[int, typer.Option(help="Resamples behind an interval.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Measure the final model of a run on its test images, and write the report again.

    Scores with intervals, the gap from training to test images, arithmetic, latency and throughput,
    and robustness: 15 corruptions at 5 severities, FGSM and PGD. Parts that would take more than a
    minute are measured on some of the images, and say on how many. The use of the test split is
    noted; a search that continues after that says so in its report.
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
            help="saved_model, keras, litert, litert_float16, litert_int8, onnx, openvino; may be "
            "repeated.",
            show_default="saved_model",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write, which does not exist yet; with one format.",
            show_default="the next version in export/ of the run",
        ),
    ] = None,
    data: ImagesNow = None,
    images: Annotated[
        int, typer.Option(help="Validation images that an export is compared on, at most.")
    ] = 1000,
    sparsity: Annotated[
        float | None,
        typer.Option(
            help="Prune the model first, until this share of its kernels' weights is zero.",
            show_default="no pruning",
            rich_help_panel=COMPRESSION,
        ),
    ] = None,
    rounds: Annotated[
        int, typer.Option(help="Of pruning and training.", rich_help_panel=COMPRESSION)
    ] = 4,
    epochs: Annotated[
        int, typer.Option(help="Epochs of each round.", rich_help_panel=COMPRESSION)
    ] = 1,
    seed: Annotated[int, typer.Option(help="Of the images, and of training.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Write the final model of a run in other formats; check, measure and describe each.

    Each is loaded into the runtime that it is meant for and compared with the Keras model on
    validation images: labels must agree on all of them, for int8 on 99%, or nothing is written.
    A SavedModel goes to export/<version>, other formats to export/<format>/<version>, with
    labels.txt, provenance.json and MODEL_CARD.md. Printed are size, time for one image, and
    accuracy on validation images of all exports of the run; out of fold after a search with folds,
    and none after a refit, whose models know the validation images.
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
    open_: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Write report.html anew from what is in a run directory, during a search, too."""
    from kt_tuning.report import Report, write_report

    page = Report(write_report(run_directory))
    print(page.path)
    if open_ and not page.open():
        print("There is no browser here: open that file in one.", file=sys.stderr)

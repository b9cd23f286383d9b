"""`export`: the final model of a run in other formats, checked, measured and described."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kt_tuning.cli.options import ImagesNow, Quiet, RunFolder
from kt_tuning.core.quiet import import_tensorflow

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
    from kt_tuning.finalize import (
        Pruning,
        export_run,
        format_table,
        load_final_model,
        load_run_data,
    )

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

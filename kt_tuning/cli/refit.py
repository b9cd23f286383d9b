"""`refit`: training of a run's models on training and validation images; and `devices`."""

from __future__ import annotations

from typing import Annotated

import typer

from kt_tuning.cli.options import ImagesNow, Quiet, RunFolder
from kt_tuning.core.quiet import import_tensorflow

TPU_HELP = "Address of a TPU, or local on its own machine."


def refit(
    run_directory: RunFolder,
    members: Annotated[
        str,
        typer.Option(help="ensemble: all its members; best: the best trial alone; auto."),
    ] = "auto",
    epochs: Annotated[
        int | None,
        typer.Option(help="Of each training.", show_default="those that validation chose"),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Images a step, of all devices together.",
            show_default="the trial's, times the devices",
        ),
    ] = None,
    devices: Annotated[
        int | None, typer.Option(help="How many share a training.", show_default="all")
    ] = None,
    tpu: Annotated[
        str | None, typer.Option(help=TPU_HELP, show_default="what TPU_NAME says")
    ] = None,
    data: ImagesNow = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete an earlier refit that was another one.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train the models of a run again on training and validation images, on all devices.

    Each model is trained for as many epochs as validation chose, with a checkpoint after each of
    them: started again, it continues. The models and a SavedModel go to refit/ in the run
    directory, which `evaluate` and `export` take like one. On several devices, batches and learning
    rates grow with their number; not run on several real GPUs or on a TPU yet.
    """
    import_tensorflow()
    from kt_tuning.core.progress import progress
    from kt_tuning.finalize import load_run_data
    from kt_tuning.finalize.refit import RefitOptions
    from kt_tuning.recorded_tuner import open_run

    options = RefitOptions(
        members=members,
        epochs=epochs,
        batch_size=batch_size,
        devices=devices,
        tpu=tpu,
        overwrite=overwrite,
        verbose=not quiet,
    )
    tuner = open_run(run_directory)
    images = load_run_data(run_directory, data, progress=not quiet)
    made = tuner.refit(options, images)
    print(made.record)
    with progress("Exporting a SavedModel", shown=not quiet):
        exported = made.export(images)
    print(f"model   {exported}")


def devices(
    tpu: Annotated[
        str | None, typer.Option(help=TPU_HELP, show_default="what TPU_NAME says")
    ] = None,
) -> None:
    """Say what there is to compute on, and what trials and a refit make of it."""
    import_tensorflow()
    from kt_tuning.devices import describe, find_devices

    print(describe(find_devices(tpu)))

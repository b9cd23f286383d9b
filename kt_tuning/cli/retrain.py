"""`refit`, `distill`, `bag`, `boost` and `snapshots`: training after the search."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kt_tuning.cli.options import TPU, ImagesNow, Overwrite, Quiet, RunFolder, open_tuner

Epochs = Annotated[
    int | None,
    typer.Option(
        help="Of a training, or of all cycles together.",
        show_default="those of a full trial",
    ),
]


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
    tpu: TPU = None,
    data: ImagesNow = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Train the models of a run again on training and validation images, on all devices.

    Each model is trained for as many epochs as validation chose, with a checkpoint after each of
    them: started again, it continues. The models and a SavedModel go to refit/ in the run
    directory, which `evaluate` and `export` take like one. On several devices, batches and learning
    rates grow with their number; not run on several real GPUs or on a TPU yet.
    """
    tuner = open_tuner(run_directory)
    from kt_tuning.core.progress import progress
    from kt_tuning.finalize import load_run_data
    from kt_tuning.finalize.refit_plan import RefitOptions

    options = RefitOptions(members, epochs, batch_size, devices, tpu, overwrite, not quiet)
    images = load_run_data(run_directory, data, progress=not quiet)
    made = tuner.refit(options, images)
    print(made.record)
    with progress("Exporting a SavedModel", shown=not quiet):
        exported = made.export(images)
    print(f"model   {exported}")


def distill(
    run_directory: RunFolder,
    temperature: Annotated[
        float, typer.Option(help="Of the teacher's answers: the higher, the softer they are.")
    ] = 2.0,
    soft_weight: Annotated[
        float, typer.Option(help="Share of the loss that the teacher's answers have, 0 to 1.")
    ] = 0.9,
    epochs: Epochs = None,
    data: ImagesNow = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Train one model to answer as the ensemble of a run does, at the cost of one.

    The student has the configuration of the best trial that is no linear probe, or of a ConvNet
    if all are. It goes to distill/ in the run directory, which evaluate, export and report take
    like one. It gains from more epochs than a trial has. Started again, it continues after its last
    finished epoch.
    """
    training = _training(epochs, data, overwrite, quiet)
    tuner = open_tuner(run_directory)
    print(tuner.distill(temperature=temperature, soft_weight=soft_weight, **training))


def bag(
    run_directory: RunFolder,
    members: Annotated[int, typer.Option(help="How many are trained.")] = 5,
    bootstrap: Annotated[
        bool,
        typer.Option(
            help="Each on a sample of the images; without, each on all of them: a deep ensemble."
        ),
    ] = True,
    epochs: Epochs = None,
    data: ImagesNow = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Train the best configuration of a run several times, and combine the models.

    The ensemble goes to bag/ in the run directory, which evaluate, export and report take like one.
    Started again, it continues; with more members it adds some.
    """
    training = _training(epochs, data, overwrite, quiet)
    print(open_tuner(run_directory).bag(members, bootstrap=bootstrap, **training))


def boost(
    run_directory: RunFolder,
    rounds: Annotated[int, typer.Option(help="Members, at most.")] = 5,
    epochs: Epochs = None,
    data: ImagesNow = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Train the best configuration of a run again and again on what it gets wrong (SAMME).

    The ensemble goes to boost/ in the run directory, which evaluate, export and report take like
    one. It is for small models: one that learns its training images by heart leaves nothing to
    boost. Started again, it continues; with more rounds it adds some.
    """
    training = _training(epochs, data, overwrite, quiet)
    print(open_tuner(run_directory).boost(rounds, **training))


def snapshots(
    run_directory: RunFolder,
    cycles: Annotated[int, typer.Option(help="Of the learning rate, each with a member.")] = 5,
    epochs: Epochs = None,
    data: ImagesNow = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Train the best configuration of a run once, in cycles, and combine a snapshot of each.

    The ensemble goes to snapshots/ in the run directory, which evaluate, export and report take
    like one. Started again, it continues.
    """
    training = _training(epochs, data, overwrite, quiet)
    print(open_tuner(run_directory).snapshots(cycles, **training))


def _training(
    epochs: int | None, data: Path | None, overwrite: bool, quiet: bool
) -> dict[str, Any]:
    """Return the arguments that `Tuner.bag` and its likes have in common."""
    return {"epochs": epochs, "data": data, "overwrite": overwrite, "verbose": not quiet}

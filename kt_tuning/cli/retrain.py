"""`refit`, `distill`, `bag`, `boost` and `snapshots`: training after the search."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kt_tuning.cli.options import TPU, ImagesNow, Overwrite, Quiet, RunFolder, open_tuner

Epochs = Annotated[
    int | None,
    typer.Option(
        help="Epochs of each training; for snapshots, of all cycles together.",
        show_default="as in a full trial",
    ),
]


def refit(
    run_directory: RunFolder,
    members: Annotated[
        str,
        typer.Option(
            help="Models to train: ensemble (all its members), best (only the best trial), or auto "
            "(the ensemble if there is one)."
        ),
    ] = "auto",
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Epochs of each training.",
            show_default="as many as each trial needed until its best epoch",
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Images per training step of all devices together.",
            show_default="the batch size of the trial times the number of devices",
        ),
    ] = None,
    devices: Annotated[
        int | None,
        typer.Option(help="Number of devices that share a training.", show_default="all"),
    ] = None,
    tpu: TPU = None,
    data: ImagesNow = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Train the models of a run again on training and validation images, on all devices.

    Each model is trained for as many epochs as its trial had at its best epoch, with a checkpoint
    after each epoch; an interrupted refit continues if the command is given again. The models and a
    SavedModel are written to refit/ in the run directory; `evaluate` and `export` accept that
    folder as a run directory. Batch size and learning rate grow with the number of devices. This
    has not been run on GPUs or TPUs yet.
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
        float,
        typer.Option(
            help="Temperature of the teacher's probabilities, above 0; the higher, the softer."
        ),
    ] = 2.0,
    soft_weight: Annotated[
        float,
        typer.Option(
            help="Weight of the teacher's probabilities in the loss, above 0 and at most 1."
        ),
    ] = 0.9,
    epochs: Epochs = None,
    data: ImagesNow = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Train one model, the student, to reproduce the probabilities of the ensemble of a run.

    The student has the configuration of the best trial that is not a linear probe, or of a default
    ConvNet if all trials are linear probes. It is written to distill/ in the run directory;
    evaluate, export and report accept that folder as a run directory. A student benefits from more
    epochs than a trial has. An interrupted training continues after its last finished epoch.
    """
    training = _training(epochs, data, overwrite, quiet)
    tuner = open_tuner(run_directory)
    print(tuner.distill(temperature=temperature, soft_weight=soft_weight, **training))


def bag(
    run_directory: RunFolder,
    members: Annotated[int, typer.Option(help="Number of models to train.")] = 5,
    bootstrap: Annotated[
        bool,
        typer.Option(
            help="Train each model on a bootstrap sample of the images; otherwise each on all "
            "images, a deep ensemble."
        ),
    ] = True,
    epochs: Epochs = None,
    data: ImagesNow = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Train the best configuration of a run several times, and combine the models.

    The ensemble is written to bag/ in the run directory; evaluate, export and report accept that
    folder as a run directory. If the command is given again, an interrupted training continues; a
    larger --members adds models.
    """
    training = _training(epochs, data, overwrite, quiet)
    print(open_tuner(run_directory).bag(members, bootstrap=bootstrap, **training))


def boost(
    run_directory: RunFolder,
    rounds: Annotated[int, typer.Option(help="Largest number of models.")] = 5,
    epochs: Epochs = None,
    data: ImagesNow = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Train the best configuration of a run repeatedly, with more weight on its errors (SAMME).

    The ensemble is written to boost/ in the run directory; evaluate, export and report accept that
    folder as a run directory. Boosting is for small models: a model without errors on its training
    images cannot be boosted. If the command is given again, an interrupted training continues; a
    larger --rounds adds models.
    """
    training = _training(epochs, data, overwrite, quiet)
    print(open_tuner(run_directory).boost(rounds, **training))


def snapshots(
    run_directory: RunFolder,
    cycles: Annotated[
        int, typer.Option(help="Number of cycles of the learning rate; each gives one model.")
    ] = 5,
    epochs: Epochs = None,
    data: ImagesNow = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Train the best configuration of a run once, in cycles, and combine a snapshot of each cycle.

    The ensemble is written to snapshots/ in the run directory; evaluate, export and report accept
    that folder as a run directory. An interrupted training continues if the command is given again.
    """
    training = _training(epochs, data, overwrite, quiet)
    print(open_tuner(run_directory).snapshots(cycles, **training))


def _training(
    epochs: int | None, data: Path | None, overwrite: bool, quiet: bool
) -> dict[str, Any]:
    """Return the arguments that `Tuner.bag` and similar methods have in common."""
    return {"epochs": epochs, "data": data, "overwrite": overwrite, "verbose": not quiet}
